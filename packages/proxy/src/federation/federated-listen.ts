import { type McpSubject, unwrapUri } from '@signalbox/config';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import { decideFor, type Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { metaKeys } from '../mcp/codec/rev2026-07-28.ts';
import { endings, type Refusal } from '../mcp/errors.ts';
import { EventRelay, eventHeaders, type Farewell, type StreamRole } from '../mcp/event-relay.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { type Edit, splice } from '../mcp/splice.ts';
import { completeListen, ownTaskIds, renameSubscription } from '../mcp/subscriptions-listen.ts';
import { withTrace } from '../mcp/upstream-request.ts';
import { ChangeDebounce, type ChangeKind, changeKinds } from './change-debounce.ts';
import { legFor } from './legs.ts';
import { changeOf, MemberEvents } from './member-events.ts';
import { isHeard, MemberFeed } from './member-feed.ts';
import type { MemberRequest, MemberState } from './member-leg.ts';
import { noteListChanged } from './list-changed.ts';

/**
 * A `subscriptions/listen` at a federation: each member is asked for what it can tell of, and the client hears all of
 * them under its own subscription. Changes of lists are gathered, and honoured whatever members do, since the
 * configuration can change them too.
 */
export class FederatedListen implements StreamRole {
  readonly watched: readonly McpSubject[];
  readonly #call: Call;
  readonly #relay: EventRelay;
  readonly #changes: ChangeDebounce;
  readonly #wants: ReadonlySet<ChangeKind>;
  readonly #resources: readonly WatchedResource[];
  readonly #feeds = new Map<string, MemberFeed>();
  #standing: Standing;

  constructor(call: Call, standing: Standing) {
    const { clock, limits } = call.services;
    const { changeGatherMs: gatherMs, changeSpacingMs: spacingMs } = limits.federation;
    this.#call = call;
    this.#standing = standing;
    const filter = filterOf(call);
    this.#wants = new Set(changeKinds.filter((kind) => isTrue(call, filter, `${kind}ListChanged`)));
    this.#resources = watchedResources(call, standing, filter);
    this.watched = this.#resources.map(({ presented }) => ({ kind: 'resource', uri: presented }));
    this.#changes = new ChangeDebounce(clock, { gatherMs, spacingMs }, (kind) => this.#relay.send(this.#changed(kind)));
    this.#relay = new EventRelay(call, standing, this);
  }

  open(): void {
    const { exchange } = this.#call;
    if (!this.#relay.open(eventHeaders, undefined)) return;
    exchange.onClientGone(() => {
      this.#stop();
      this.#relay.clientGone(endings.clientCancelled);
    });
    this.#call.onEnded = () => this.#stop();
    this.#relay.send(this.#acknowledged());
    this.#openFeeds();
  }

  forward(): undefined {
    return undefined;
  }

  farewell({ message, revision }: Farewell): string {
    return completeListen(this.#call.clientId, { 'dev.signalbox/reason': message, 'dev.signalbox/revision': revision });
  }

  toolsChanged(): undefined {
    for (const kind of changeKinds) this.#change('', kind);
    return undefined;
  }

  drain(): string {
    return completeListen(this.#call.clientId, { 'dev.signalbox/reason': 'The node is stopping; listen again' });
  }

  upstreamEnded(failure: Refusal | undefined): { words: undefined; error: string } {
    return { words: undefined, error: failure?.name ?? '' };
  }

  abandoned(): void {
    this.#stop();
  }

  stands(standing: Standing): void {
    this.#standing = standing;
    this.#openFeeds();
  }

  #openFeeds(): void {
    const members = this.#standing.route.members.filter(isHeard);
    const keys = new Set(members.map(({ backend }) => backend.key));
    for (const [key, feed] of this.#feeds) {
      if (keys.has(key)) continue;
      feed.stop();
      this.#feeds.delete(key);
    }
    for (const state of members) {
      if (this.#feeds.has(state.backend.key)) continue;
      const uris = this.#resources.filter(({ member }) => member === state.member.key).map(({ own }) => own);
      const tasks = this.#tasksOf(state);
      if (this.#wants.size === 0 && uris.length === 0 && tasks.length === 0) continue;
      this.#feeds.set(state.backend.key, this.#feedOf(state, { uris, tasks }).open());
    }
  }

  /** Tasks that the client asks about, by the member's names. */
  #tasksOf(state: MemberState): readonly string[] {
    const { bytes } = this.#call.message as ScannedMessage;
    const filter = filterOf(this.#call);
    const list = filter && memberValue(bytes, filter, 'taskIds');
    return list ? ownTaskIds(this.#call, state, bytes, list) : [];
  }

  #feedOf(state: MemberState, about: Subscribed): MemberFeed {
    const call = this.#call;
    const leg = legFor(call, state);
    const events = new MemberEvents(call, leg);
    let id = '';
    const request = (): MemberRequest => {
      const made = listenRequest(call, about);
      ({ id } = made);
      return made.request;
    };
    const reader = {
      onEvent: (event: SseEvent) => this.#onEvent(state, events, event, id),
      onReturned: () => this.toolsChanged(),
    };
    return new MemberFeed(call.services, leg, { request, lastEventId: '' }, reader);
  }

  #onEvent({ member, backend }: MemberState, events: MemberEvents, event: SseEvent, upstreamId: string): void {
    const method = methodOf(event.data);
    const changed = changeOf(method);
    if (changed !== undefined) {
      noteListChanged(this.#call.services, backend.key, changed);
      return this.#change(member.key, changed);
    }
    // Acknowledgements were given for all members together; what ends a member's subscription does not end ours.
    if (method !== 'notifications/resources/updated' && method !== 'notifications/tasks') return;
    const words = events.present(event, this.#standing, (own) => own);
    if (words === undefined) return;
    this.#relay.send(renameSubscription(Buffer.from(words as string), upstreamId, this.#call.clientId));
  }

  #change(member: string, kind: ChangeKind): void {
    if (this.#wants.has(kind)) this.#changes.changed(member, kind);
  }

  #changed(kind: ChangeKind): string {
    const params = `{"_meta":{"${metaKeys.subscriptionId}":${this.#call.clientId}}}`;
    return encodeEvent({ data: `{"jsonrpc":"2.0","method":"notifications/${kind}/list_changed","params":${params}}` });
  }

  #acknowledged(): string {
    const lists = [...this.#wants].map((kind) => `"${kind}ListChanged":true`);
    const uris = this.#resources.map(({ presented }) => JSON.stringify(presented)).join(',');
    const tasks = this.#standing.route.members.flatMap((state) => this.#tasksOf(state));
    const filter = filterOf(this.#call);
    const asked = filter && memberValue((this.#call.message as ScannedMessage).bytes, filter, 'taskIds');
    const notifications = [
      ...lists,
      ...(uris === '' ? [] : [`"resourceSubscriptions":[${uris}]`]),
      ...(tasks.length === 0 || !asked ? [] : [`"taskIds":${textOf(this.#call, asked)}`]),
    ].join(',');
    const params = `{"notifications":{${notifications}},"_meta":{"${metaKeys.subscriptionId}":${this.#call.clientId}}}`;
    const method = 'notifications/subscriptions/acknowledged';
    return encodeEvent({ data: `{"jsonrpc":"2.0","method":"${method}","params":${params}}` });
  }

  #stop(): void {
    this.#changes.stop();
    for (const feed of this.#feeds.values()) feed.stop();
    this.#feeds.clear();
  }
}

/** What a member is asked to tell of beside its lists, by its own names. */
interface Subscribed {
  readonly uris: readonly string[];
  readonly tasks: readonly string[];
}

interface WatchedResource {
  readonly presented: string;
  readonly own: string;
  readonly member: string;
}

function filterOf({ message }: Call): Span | undefined {
  return message?.params && memberValue(message.bytes, message.params, 'notifications');
}

function textOf({ message }: Call, { start, end }: Span): string {
  return (message as ScannedMessage).bytes.toString('utf8', start, end);
}

function isTrue({ message }: Call, filter: Span | undefined, key: string): boolean {
  const span = message && filter && memberValue(message.bytes, filter, key);
  return span !== undefined && message?.bytes.toString('latin1', span.start, span.end) === 'true';
}

function watchedResources(call: Call, standing: Standing, filter: Span | undefined): readonly WatchedResource[] {
  const { federation } = (call.route as RouteState).entry.mcp;
  const { bytes } = call.message as ScannedMessage;
  const list = filter && memberValue(bytes, filter, 'resourceSubscriptions');
  return (list ? arrayElements(bytes, list) : []).flatMap((span) => {
    const presented = stringValue(bytes, span);
    const found = presented === undefined || federation === null ? undefined : unwrapUri(federation, presented);
    if (presented === undefined || !found) return [];
    const { allowed } = decideFor(call, standing, { kind: 'resource', uri: presented });
    return allowed ? [{ presented, own: found.uri, member: found.member.key }] : [];
  });
}

/** The client's request under an id of its own for this member, with the member's URIs. */
function listenRequest(
  call: Call,
  { uris, tasks }: Subscribed,
): { readonly id: string; readonly request: MemberRequest } {
  const { bytes, id: clientId } = call.message as ScannedMessage;
  const filter = filterOf(call);
  const id = call.services.requestIds.mint(bytes, clientId as Span, undefined);
  const list = filter && memberValue(bytes, filter, 'resourceSubscriptions');
  const edits: Edit[] = [{ ...(clientId as Span), text: id }];
  const taskIds = filter && memberValue(bytes, filter, 'taskIds');
  if (list) edits.push({ ...list, text: JSON.stringify(uris) });
  if (taskIds) edits.push({ ...taskIds, text: JSON.stringify(tasks) });
  const body = splice(
    bytes,
    edits.sort((a, b) => a.start - b.start),
  );
  const headers = withTrace(call, []);
  return { id, request: { verb: 'POST', method: call.method, headers, body, repeatable: true, streams: true } };
}

function methodOf(data: string | undefined): string {
  if (data === undefined) return '';
  try {
    const { method } = JSON.parse(data) as { method?: unknown };
    return typeof method === 'string' ? method : '';
  } catch {
    return '';
  }
}
