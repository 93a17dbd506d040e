import { memberValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import type { Call } from '../mcp/call.ts';
import { codes } from '../mcp/errors.ts';
import { type Edit, splice, withoutMember } from '../mcp/splice.ts';
import { withTrace } from '../mcp/upstream-request.ts';
import { type Asked, askMember } from './ask-member.ts';
import { legFor } from './legs.ts';
import { sendToMember } from './member-exchange.ts';
import type { MemberState } from './member-leg.ts';

/** A page of a member's list. */
export type AskedList =
  | { readonly kind: 'page'; readonly bytes: Buffer; readonly result: Span }
  /** The member has no such list. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'failure';
      readonly reason: string;
      /** Of the error that the member answered. */ readonly code?: number;
    };

/** Asks a member for a page of a list, on behalf of the call, which is about a list itself or about a name. */
export async function askForList(
  call: Call,
  state: MemberState,
  method: string,
  cursor: string | undefined,
): Promise<AskedList> {
  const asked = await askFor(call, state, method, (id) =>
    method === call.method ? samePage(call, id, cursor) : ownPage(call, method, id, cursor),
  );
  if (asked.kind === 'failure') return asked;
  const { bytes, result, error } = asked.message;
  if (result) return { kind: 'page', bytes, result };
  const span = error && memberValue(bytes, error, 'code');
  const code = span ? Number(bytes.toString('latin1', span.start, span.end)) : 0;
  if (code === codes.methodNotFound) return { kind: 'none' };
  return { kind: 'failure', reason: `it answered with error ${code}`, code };
}

/**
 * Asks a member on behalf of a call.
 * @param body the message under an id, as raw JSON.
 */
export function askFor(call: Call, state: MemberState, method: string, body: (id: string) => Buffer): Promise<Asked> {
  const { services } = call;
  const { message } = call;
  const id = services.requestIds.mint(message?.bytes ?? nobody, message?.id ?? { start: 0, end: 0 }, undefined);
  const request = { verb: 'POST', method, headers: withTrace(call, none), body: body(id), repeatable: true } as const;
  const leg = legFor(call, state);
  return askMember(services, id, services.limits.federation.fanOutMs, (handler) =>
    sendToMember(services, leg, request, handler),
  );
}

/** The client's own request, with the cursor of the member. */
function samePage(call: Call, id: string, cursor: string | undefined): Buffer {
  const { message } = call;
  if (!message?.id) return ownPage(call, call.method, id, cursor);
  const { bytes, params } = message;
  const edits: Edit[] = [{ ...message.id, text: id }];
  const known = params && memberValue(bytes, params, 'cursor');
  if (known && cursor !== undefined) edits.push({ ...known, text: JSON.stringify(cursor) });
  else if (known && params) edits.push(...withoutMember(bytes, params, 'cursor'));
  return splice(
    bytes,
    edits.sort((a, b) => a.start - b.start),
  );
}

/** A request of the gateway's own. What the modern era says about the client in every request goes with it. */
function ownPage(call: Call, method: string, id: string, cursor: string | undefined): Buffer {
  const { message, era } = call;
  const { meta } = message ?? {};
  const parts: string[] = [];
  if (cursor !== undefined) parts.push(`"cursor":${JSON.stringify(cursor)}`);
  if (era === 'modern' && message && meta)
    parts.push(`"_meta":${message.bytes.toString('utf8', meta.start, meta.end)}`);
  return Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${parts.join(',')}}}`);
}

const none: readonly string[] = [];
const nobody = Buffer.alloc(0);
