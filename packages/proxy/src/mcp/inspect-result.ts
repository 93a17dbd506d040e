import type { BackendEntry } from '@signalbox/config';
import { memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import { decideFor, listedSubject, type Standing } from './authorization.ts';
import type { Call } from './call.ts';
import type { ListRule } from './codec/codec.ts';
import { capabilityEdits } from './capabilities.ts';
import { documentSpan } from './document-span.ts';
import { headerAnnotationFault, mayHoldAnnotations } from './header-annotations.ts';
import { filterList } from './list-filter.ts';
import type { Edit } from './splice.ts';

/** What the gateway changes in a result, and what it learns from it. */
export interface Inspected {
  readonly edits: readonly Edit[];
  /** Protocol version that an `initialize` result names. */
  readonly version: string | undefined;
  /** It is a list of which nothing is learnt but what is shown: as long as it stays the same, so does that. */
  readonly isPlainList: boolean;
}

/** Whether results of the call have to be seen whole before they go on. Others pass through unread. */
export function needsInspection(call: Call): boolean {
  const { rule } = call;
  return rule !== undefined && (rule.list !== undefined || rule.special === 'initialize' || rule.name === discover);
}

/**
 * Looks into a whole answer: lists lose what policy hides, `initialize` and `server/discover` what the gateway does not
 * carry. An answer that is an error has nothing to change.
 * @returns undefined when the bytes are not a strict JSON-RPC answer.
 */
export function inspectResult(call: Call, standing: Standing, answer: Buffer): Inspected | undefined {
  const scanned = scanBody(answer, call.services.limits.responseScan);
  if (scanned.kind !== 'message') return undefined;
  const result = memberValue(answer, documentSpan(answer), 'result');
  if (!result) return scanned.message.hasError ? { edits: [], version: undefined, isPlainList: false } : undefined;
  if (call.rule?.list) {
    const isPlainList = call.era !== 'modern' || !mayHoldAnnotations(answer);
    return { edits: filterEdits(call, standing, answer, result), version: undefined, isPlainList };
  }
  const version = memberValue(answer, result, 'protocolVersion');
  return {
    edits: capabilityEdits(answer, result),
    version: version && stringValue(answer, version),
    isPlainList: false,
  };
}

const discover = 'server/discover';

/** An entry of a list, in bytes that have passed `scanBody`. */
interface ListedEntry {
  readonly backend: BackendEntry;
  readonly name: string;
  readonly bytes: Buffer;
  readonly element: Span;
}

/** Whether an entry may be offered: on the modern era not a tool whose parameters cannot be sent as headers. */
export function isSoundTool(call: Call, list: ListRule, { backend, name, bytes, element }: ListedEntry): boolean {
  if (call.era !== 'modern' || list.member !== 'tools' || !mayHoldAnnotations(bytes)) return true;
  const fault = headerAnnotationFault(bytes, element);
  if (fault !== undefined) call.services.hiddenNames.badAnnotations(backend, name, fault);
  else call.services.paramHeaders.saw(backend.key, name, bytes, element);
  return fault === undefined;
}

function filterEdits(call: Call, standing: Standing, answer: Buffer, result: Span): readonly Edit[] {
  const list = call.rule?.list;
  if (!list) return [];
  const { backend } = standing.route;
  const { edits, names } = filterList(
    answer,
    result,
    list,
    (name, element) =>
      decideFor(call, standing, listedSubject(list.subject, name)).allowed &&
      isSoundTool(call, list, { backend, name, bytes: answer, element }),
  );
  if (list.member === 'tools') call.services.catalog.saw(standing.route.entry.mcp.member.backend.key, names);
  return edits;
}
