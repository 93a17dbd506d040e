import type { McpSubject } from '@signalbox/config';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import { decideFor, type Standing } from './authorization.ts';
import type { Call } from './call.ts';
import { metaKeys } from './codec/rev2026-07-28.ts';
import { backendDigest, type Endpoint } from './endpoint.ts';
import { errorMessage, type Refusal, refusals } from './errors.ts';
import type { Farewell, StreamRole } from './event-relay.ts';
import type { Edit } from './splice.ts';

/** What a `subscriptions/listen` asks for, and what policy leaves of it. */
export interface ListenFilter {
  readonly toolsListChanged: boolean;
  /** Resources that it may watch. */
  readonly resources: readonly McpSubject[];
  /** Take the other resources out of the request, and name tasks as the server does. */
  readonly edits: readonly Edit[];
}

/** Reads the filter of a listen request and drops the resources that its caller may not read. */
export function listenFilter(call: Call, message: ScannedMessage, standing: Standing): ListenFilter {
  const { bytes, params } = message;
  const filter = params && memberValue(bytes, params, 'notifications');
  if (!filter) return { toolsListChanged: false, resources: [], edits: [] };
  const tools = memberValue(bytes, filter, 'toolsListChanged');
  const list = memberValue(bytes, filter, 'resourceSubscriptions');
  const asked = list ? arrayElements(bytes, list).map((span) => ({ span, uri: stringValue(bytes, span) })) : [];
  const kept: { span: Span; subject: McpSubject }[] = [];
  for (const { span, uri } of asked) {
    if (uri === undefined) continue;
    const subject: McpSubject = { kind: 'resource', uri };
    if (decideFor(call, standing, subject).allowed) kept.push({ span, subject });
  }
  const text = `[${kept.map(({ span }) => bytes.toString('utf8', span.start, span.end)).join(',')}]`;
  return {
    toolsListChanged: tools !== undefined && bytes.toString('latin1', tools.start, tools.end) === 'true',
    resources: kept.map(({ subject }) => subject),
    edits: [...(list && kept.length < asked.length ? [{ ...list, text }] : []), ...taskEdits(call, bytes, filter)],
  };
}

/** Tasks that the caller has at this server, by its own names; others are nobody's. */
function taskEdits(call: Call, bytes: Buffer, filter: Span): readonly Edit[] {
  const list = memberValue(bytes, filter, 'taskIds');
  return list ? [{ ...list, text: JSON.stringify(ownTaskIds(call, call.route as Endpoint, bytes, list)) }] : [];
}

/** The server's names of those tasks of a list that are the caller's and the server's. */
export function ownTaskIds(call: Call, { backend }: Endpoint, bytes: Buffer, list: Span): readonly string[] {
  const principal = call.credential?.principal.id ?? '';
  return arrayElements(bytes, list).flatMap((span) => {
    const id = stringValue(bytes, span);
    const place = id === undefined ? undefined : call.services.handles.openTask(id, principal);
    return place?.backend === backendDigest(backend) ? [place.own] : [];
  });
}

/** The stream of a `subscriptions/listen`: every message on it names the client's own request id as its subscription. */
export class ListenRole implements StreamRole {
  readonly watched: readonly McpSubject[];
  readonly #rewriter: AnswerRewriter;
  readonly #wantsTools: boolean;
  #acknowledged = false;
  #answered = false;

  constructor(rewriter: AnswerRewriter, filter: ListenFilter) {
    this.#rewriter = rewriter;
    this.#wantsTools = filter.toolsListChanged;
    this.watched = filter.resources;
  }

  forward(event: SseEvent, standing: Standing): Buffer | undefined {
    const answer = this.#rewriter.rewriteEvent(event, standing);
    if (answer) this.#answered = true;
    this.#acknowledged ||= event.data !== undefined;
    const told = answer
      ? answer.bytes
      : this.#rewriter.member
        ? this.#rewriter.member.event(event, standing)
        : event.raw;
    if (told === undefined) return undefined;
    return renameSubscription(Buffer.from(told as string), this.#rewriter.upstreamId, this.#rewriter.clientId);
  }

  farewell({ message, revision }: Farewell): string {
    return this.#complete({ [reasonKey]: message, [revisionKey]: revision });
  }

  toolsChanged(): string | undefined {
    if (!this.#wantsTools || !this.#acknowledged) return undefined;
    const params = `{"_meta":{"${metaKeys.subscriptionId}":${this.#rewriter.clientId}}}`;
    return encodeEvent({ data: `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":${params}}` });
  }

  drain(): string {
    return this.#complete({ [reasonKey]: 'The node is stopping; listen again' });
  }

  upstreamEnded(failure: Refusal | undefined): { words: string | undefined; error: string } {
    if (this.#answered) return { words: undefined, error: '' };
    const refusal = failure ?? refusals.upstreamFailed;
    return { words: encodeEvent({ data: errorMessage(this.#rewriter.clientId, refusal) }), error: refusal.name };
  }

  abandoned(): void {
    // Cutting the upstream connection is what ends a subscription on this era.
  }

  /** The result that ends a subscription in order. */
  #complete(meta: Readonly<Record<string, unknown>>): string {
    return completeListen(this.#rewriter.clientId, meta);
  }
}

/** The result that ends a subscription in order, as an event. @param clientId raw JSON. */
export function completeListen(clientId: string, meta: Readonly<Record<string, unknown>>): string {
  const more = JSON.stringify(meta).slice(1);
  const result = `{"resultType":"complete","_meta":{"${metaKeys.subscriptionId}":${clientId},${more}}`;
  return encodeEvent({ data: `{"jsonrpc":"2.0","id":${clientId},"result":${result}}` });
}

const reasonKey = 'dev.signalbox/reason';
const revisionKey = 'dev.signalbox/revision';
const subscriptionKey = Buffer.from(`"${metaKeys.subscriptionId}"`, 'latin1');

/** Puts the client's id wherever the subscription id names the minted one. */
export function renameSubscription(event: Buffer, upstreamId: string, clientId: string): Buffer {
  let renamed = event;
  for (let at = renamed.indexOf(subscriptionKey); at >= 0; at = renamed.indexOf(subscriptionKey, at + 1)) {
    let value = at + subscriptionKey.length;
    while (renamed[value] === colon || renamed[value] === space) value += 1;
    const end = value + upstreamId.length;
    if (renamed.toString('latin1', value, end) !== upstreamId) continue;
    renamed = Buffer.concat([renamed.subarray(0, value), Buffer.from(clientId, 'utf8'), renamed.subarray(end)]);
  }
  return renamed;
}

const colon = 0x3a;
const space = 0x20;
