import { memberValue, objectMembers } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { metaKeys } from '../../mcp/codec/rev2026-07-28.ts';
import { type Edit, splice, withoutMembers } from '../../mcp/splice.ts';

/** What a modern client says about itself with every request. Raw JSON. */
export interface Claims {
  readonly capabilities: string;
  readonly clientInfo: string;
  /** From which level on log messages are wanted; undefined for none. */
  readonly level: string | undefined;
}

export function claimsOf({ bytes, meta }: ScannedMessage): Claims {
  const raw = (key: string): string | undefined => {
    const span = meta && memberValue(bytes, meta, key);
    return span && bytes.toString('utf8', span.start, span.end);
  };
  return {
    capabilities: raw(metaKeys.clientCapabilities) ?? '{}',
    clientInfo: raw(metaKeys.clientInfo) ?? '{"name":"signalbox","version":"0"}',
    level: raw(metaKeys.logLevel),
  };
}

/** Answers of the client and state of an earlier round. Raw JSON. */
export interface RoundParams {
  readonly inputResponses: ReadonlyMap<string, string>;
  readonly requestState: string | undefined;
}

export function roundParamsOf({ bytes, params }: ScannedMessage): RoundParams {
  const responses = params && memberValue(bytes, params, 'inputResponses');
  const state = params && memberValue(bytes, params, 'requestState');
  const members = responses ? objectMembers(bytes, responses) : [];
  return {
    inputResponses: new Map(
      members.map(({ key, value }) => [key, bytes.toString('utf8', value.start, value.end)] as const),
    ),
    requestState: state && bytes.toString('utf8', state.start, state.end),
  };
}

/** A modern request as a legacy one: without what only the modern era says. Everything else stays as it came. */
export function toLegacyBody(message: ScannedMessage): Buffer {
  const { bytes, params, meta } = message;
  const edits: Edit[] = [];
  if (params) edits.push(...withoutMembers(bytes, params, ownParams));
  if (meta) edits.push(...withoutMembers(bytes, meta, ownMeta));
  return splice(
    bytes,
    edits.toSorted((a, b) => a.start - b.start),
  );
}

/** A modern server ignores `task`, which asked legacy ones for tasks; those that know it would refuse or make one. */
const ownParams: ReadonlySet<string> = new Set(['inputResponses', 'requestState', 'task']);
const ownMeta: ReadonlySet<string> = new Set([
  ...[metaKeys.protocolVersion, metaKeys.clientCapabilities, metaKeys.clientInfo, metaKeys.logLevel],
]);
