import { wrapUri } from '@signalbox/config';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import { handleEdits } from '../handles/answer-handles.ts';
import { memberValue, stringValue } from '../json/members.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import { decideFor, decideOfMember, type Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { documentSpan } from '../mcp/document-span.ts';
import { errorMessage, refusals } from '../mcp/errors.ts';
import { readMintedId } from '../mcp/request-id.ts';
import { type Edit, splice } from '../mcp/splice.ts';
import type { UpstreamHandler } from '../upstream/upstream.ts';
import type { ChangeKind } from './change-debounce.ts';
import { sendToMember } from './member-exchange.ts';
import type { MemberLeg } from './member-leg.ts';
import { answerUriEdits } from './result-uris.ts';
import { noteListChanged } from './list-changed.ts';

/** What a member says on a stream, as its client may see it. What is not understood goes on unchanged. */
export class MemberEvents {
  readonly #call: Call;
  readonly #leg: MemberLeg;

  constructor(call: Call, leg: MemberLeg) {
    this.#call = call;
    this.#leg = leg;
  }

  /**
   * The event for the client; undefined when it is not for it.
   * @param eventId renames the event, so that the client can come back for what follows it; undefined: it gets none.
   */
  present(
    event: SseEvent,
    standing: Standing,
    eventId: ((id: string) => string) | undefined,
  ): Buffer | string | undefined {
    const { dataBytes } = event;
    const edits = dataBytes === undefined || dataBytes.length === 0 ? [] : this.edits(dataBytes, standing);
    if (edits === undefined) return undefined;
    if (edits.length === 0 && event.id === undefined) return event.raw;
    const data = dataBytes && splice(dataBytes, sorted(edits)).toString('utf8');
    return encodeEvent({
      ...(event.id === undefined || !eventId ? {} : { id: eventId(event.id) }),
      ...(event.retryMs === undefined ? {} : { retryMs: event.retryMs }),
      ...(data === undefined ? {} : { data }),
    });
  }

  /** What is changed in a message of the member; undefined when it is not for the client. */
  edits(bytes: Buffer, standing: Standing): readonly Edit[] | undefined {
    const scanned = scanBody(bytes, this.#call.services.limits.responseScan);
    if (scanned.kind !== 'message') return [];
    const { message } = scanned;
    if (message.method === undefined) return this.#answer(message, standing);
    const edits = message.id ? this.#request(message, message.id) : this.#notification(message, standing);
    return edits && [...edits, ...handleEdits(this.#call, this.#leg.state, message)];
  }

  /**
   * An answer that comes late, on a stream that was resumed, gets the id back that its client gave the request. What
   * policy has withdrawn since is answered as such.
   */
  #answer(message: ScannedMessage, standing: Standing): readonly Edit[] {
    const { bytes, id } = message;
    const minted = id && readMintedId(bytes.toString('utf8', id.start, id.end));
    if (!id || !minted) return [];
    if (minted.subject && !decideFor(this.#call, standing, minted.subject).allowed) {
      const text = errorMessage(minted.clientId, refusals.permissionWithdrawn);
      return [{ ...documentSpan(bytes), text }];
    }
    const { member } = this.#leg.state;
    return [{ ...id, text: minted.clientId }, ...answerUriEdits(bytes, message, (uri) => wrapUri(member, uri))];
  }

  /** A request to the client gets an id that leads its answer back to the member. Pings are for the gateway. */
  #request(message: ScannedMessage, id: Span): readonly Edit[] | undefined {
    const { bytes } = message;
    const raw = bytes.toString('utf8', id.start, id.end);
    if (message.method === 'ping') {
      this.#answerPing(raw);
      return undefined;
    }
    const { services, sessionName } = this.#call;
    const { key } = this.#leg.state.member;
    const mint = (token: string): string => services.memberIds.mint(sessionName, key, token);
    const edits: Edit[] = [{ ...id, text: mint(raw) }];
    const token = message.meta && memberValue(bytes, message.meta, 'progressToken');
    if (token) edits.push({ ...token, text: mint(bytes.toString('utf8', token.start, token.end)) });
    if (message.method === 'elicitation/create' && message.params) {
      edits.push(...textEdit(bytes, message.params, 'message', (text) => `${key}: ${text}`));
    }
    return edits;
  }

  #notification(message: ScannedMessage, standing: Standing): readonly Edit[] | undefined {
    const { bytes, params, method = '' } = message;
    const { state } = this.#leg;
    const { key } = state.member;
    const changed = changeOf(method);
    if (changed !== undefined) noteListChanged(this.#call.services, state.backend.key, changed);
    if (!params) return [];
    if (method === 'notifications/message') {
      const logger = textEdit(bytes, params, 'logger', (text) => `${key}/${text}`);
      return logger.length > 0
        ? logger
        : [{ start: params.start + 1, end: params.start + 1, text: `"logger":"${key}",` }];
    }
    return method === 'notifications/resources/updated' ? this.#updated(bytes, params, standing) : [];
  }

  #updated(bytes: Buffer, params: Span, standing: Standing): readonly Edit[] | undefined {
    const span = memberValue(bytes, params, 'uri');
    const uri = span && stringValue(bytes, span);
    const { member } = this.#leg.state;
    if (span === undefined || uri === undefined || !member.presentsUri(uri)) return undefined;
    const wrapped = wrapUri(member, uri);
    const own = { member, subject: { kind: 'resource', uri } } as const;
    const { allowed } = decideOfMember(this.#call, standing, { kind: 'resource', uri: wrapped }, own);
    return allowed ? [{ ...span, text: JSON.stringify(wrapped) }] : undefined;
  }

  #answerPing(id: string): void {
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
    const request = { verb: 'POST', method: '', body, repeatable: true } as const;
    sendToMember(this.#call.services, this.#leg, request, ignored);
  }
}

/** The list that a notification tells a change of. */
export function changeOf(method: string): ChangeKind | undefined {
  switch (method) {
    case 'notifications/tools/list_changed':
      return 'tools';
    case 'notifications/prompts/list_changed':
      return 'prompts';
    case 'notifications/resources/list_changed':
      return 'resources';
    default:
      return undefined;
  }
}

/** For answers that do not matter. */
export const ignored: UpstreamHandler = {
  onHead: () => undefined,
  onData: () => undefined,
  onEnd: () => undefined,
  onError: () => undefined,
};

function sorted(edits: readonly Edit[]): readonly Edit[] {
  return edits.toSorted((a, b) => a.start - b.start);
}

function textEdit(bytes: Buffer, object: Span, key: string, change: (text: string) => string): Edit[] {
  const span = memberValue(bytes, object, key);
  const text = span && stringValue(bytes, span);
  return span === undefined || text === undefined ? [] : [{ ...span, text: JSON.stringify(change(text)) }];
}
