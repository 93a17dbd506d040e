import type { ScannedMessage } from '../../json/message.ts';
import { encodeHeaderValue } from '../../mcp/header-value.ts';
import { metaKeys, modernCodec } from '../../mcp/codec/rev2026-07-28.ts';
import { type Edit, splice, withFirst } from '../../mcp/splice.ts';
import type { ClientFacts } from './session.ts';

/** The revision that modern servers are spoken to in. */
const spokenVersion = modernCodec.versions[0] as string;

/** What a further round of a request adds to it (MRTR). */
export interface Round {
  /** Raw JSON of the id of this round: every one is a request of its own. */
  readonly id: string;
  /** Raw JSON of the answers by key; undefined when nothing was asked. */
  readonly inputResponses?: string | undefined;
  /** Raw JSON of the state that the server gave, byte for byte. */
  readonly requestState?: string | undefined;
}

/**
 * A legacy request as a modern one: the client's facts stand in its `_meta`, everything else stays as it came.
 * @param level raw JSON of the level from which on log messages are wanted.
 */
export function toModernBody(
  message: ScannedMessage,
  facts: ClientFacts,
  { level, round }: { readonly level?: string | undefined; readonly round?: Round | undefined } = {},
): Buffer {
  const { bytes, span, params, meta, id } = message;
  const edits: Edit[] = [];
  if (round && id) edits.push({ ...id, text: round.id });
  const own = metaMembers(facts, level);
  const input = roundMembers(round);
  if (!params) {
    edits.push({ start: span.end - 1, end: span.end - 1, text: `,"params":{${input}"_meta":{${own}}}` });
  } else if (!meta) {
    edits.push(withFirst(bytes, params, `${input}"_meta":{${own}}`));
  } else {
    if (input !== '') edits.push(withFirst(bytes, params, input.slice(0, -1)));
    edits.push(withFirst(bytes, meta, own));
  }
  return splice(
    bytes,
    edits.toSorted((a, b) => a.start - b.start),
  );
}

/** Headers that a modern request repeats of its body, and those that go on as they came. */
export function modernRequestHeaders(
  { method = '', name, uri }: Pick<ScannedMessage, 'method' | 'name' | 'uri'>,
  passed: readonly string[] = [],
): readonly string[] {
  const isNamed = method === 'tools/call' || method === 'prompts/get' || method.startsWith('tasks/');
  const subject = method === 'resources/read' ? uri : isNamed ? name : undefined;
  return [
    ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
    ...['MCP-Protocol-Version', spokenVersion, 'Mcp-Method', method],
    ...(subject === undefined ? [] : ['Mcp-Name', encodeHeaderValue(subject)]),
    ...passed,
  ];
}

/** Members of `_meta`, without braces. */
export function metaMembers({ capabilities, clientInfo }: ClientFacts, level?: string): string {
  const members = [
    `${JSON.stringify(metaKeys.protocolVersion)}:${JSON.stringify(spokenVersion)}`,
    `${JSON.stringify(metaKeys.clientCapabilities)}:${capabilities}`,
    `${JSON.stringify(metaKeys.clientInfo)}:${clientInfo}`,
  ];
  if (level !== undefined) members.push(`${JSON.stringify(metaKeys.logLevel)}:${level}`);
  return members.join(',');
}

/** Members of `params`, each with a comma behind it. */
function roundMembers(round: Round | undefined): string {
  const { inputResponses, requestState } = round ?? {};
  return `${inputResponses === undefined ? '' : `"inputResponses":${inputResponses},`}${requestState === undefined ? '' : `"requestState":${requestState},`}`;
}
