import type { McpSubject } from '@signalbox/config';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import type { Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { endings, type Refusal, refusals } from '../mcp/errors.ts';
import { EventRelay, eventHeaders, type Farewell, type StreamRole } from '../mcp/event-relay.ts';
import { GetRole } from '../mcp/get-stream.ts';
import { fail } from '../mcp/guarded-handler.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { withTrace } from '../mcp/upstream-request.ts';
import { ChangeDebounce, type ChangeKind, changeKinds } from './change-debounce.ts';
import { callEventId, readEventId, type ResumePoint, sharedEventId } from './event-ids.ts';
import { federatedSession } from './legs.ts';
import { changeOf, MemberEvents } from './member-events.ts';
import { isHeard, MemberFeed } from './member-feed.ts';
import type { MemberSession } from './member-session.ts';
import { noteListChanged } from './list-changed.ts';
import { type Missed, SharedLog, takeOverShared } from './shared-log.ts';

/**
 * The GET stream of a session with a federation: what all members say unasked, on one stream. Changes of lists are
 * gathered; the stream of a member that breaks is opened again while the client's goes on.
 */
export class FederatedStream implements StreamRole {
  readonly watched: readonly McpSubject[] = [];
  readonly #call: Call;
  readonly #relay: EventRelay;
  readonly #own: GetRole;
  readonly #changes: ChangeDebounce;
  /** By key of the member. */
  readonly #feeds = new Map<string, { readonly backend: string; readonly feed: MemberFeed }>();
  /** How far the client is with each member. */
  readonly #seen = new Map<string, string>();
  #standing: Standing;
  /** It carries the rest of one call, and nothing else. */
  #ofOneCall = false;
  #onReturned: Disposable | undefined;
  /** Undefined: nothing is kept, and the client can come back for what members keep. */
  readonly #log: SharedLog | undefined;
  #touching: Disposable | undefined;

  constructor(call: Call, standing: Standing) {
    const { clock, limits } = call.services;
    const { changeGatherMs: gatherMs, changeSpacingMs: spacingMs } = limits.federation;
    this.#call = call;
    this.#standing = standing;
    this.#own = new GetRole(call);
    this.#changes = new ChangeDebounce(clock, { gatherMs, spacingMs }, (kind) => this.#send(listChanged(kind)));
    this.#relay = new EventRelay(call, standing, this);
    const begin = call.services.resumption.sharedLogOf(call, this.#relay);
    this.#log = begin && new SharedLog(begin);
  }

  open(): void {
    const call = this.#call;
    const lastEventId = call.exchange.head.header('last-event-id');
    const resume = lastEventId === undefined ? undefined : readEventId(lastEventId);
    if (lastEventId !== undefined && !resume) {
      return call.refuse({ ...refusals.invalidParams, status: 400 }, { message: 'Unknown Last-Event-ID' });
    }
    if (resume?.kind !== 'shared' || resume.kept === undefined) return this.#begin(resume);
    call.exchange.onClientGone(() => call.end(endings.clientGone));
    this.#comeBack(resume, resume.kept).catch((error: unknown) => fail(call, error));
  }

  /** What the gateway has kept comes first; without it, members go on behind what the client has seen of them. */
  async #comeBack(resume: SharedPoint, kept: string): Promise<void> {
    const call = this.#call;
    const missed = await takeOverShared(call, kept);
    if (call.ended) return;
    if (missed === 'gone' || (missed === 'unknown' && resume.seen.size === 0)) return call.refuse(refusals.eventsGone);
    if (missed === 'unknown') return this.#begin(resume);
    this.#begin(resume, missed);
  }

  #begin(resume: ResumePoint | undefined, missed?: Missed): void {
    const call = this.#call;
    if (!this.#relay.open(eventHeaders, undefined)) return;
    call.exchange.onClientGone(() => {
      this.#stop();
      this.#relay.clientGone(endings.clientGone);
    });
    const { session } = call;
    const end = (): void => this.#relay.finish(undefined, endings.terminated);
    session?.onEnded(end);
    if (resume?.kind !== 'call') session?.opened(call);
    call.onEnded = () => {
      session?.closed(call);
      session?.forget(end);
      this.#stop();
    };
    this.#onReturned = federatedSession(call).onReturned(() => this.#allChanged());
    if (resume?.kind === 'call') return this.#resumeCall(resume.member, resume.id);
    if (resume) for (const [member, id] of resume.seen) this.#seen.set(member, id);
    for (const { event, member, id } of missed?.events ?? []) this.#send(event, member, id);
    // Of a member that says nothing more, the newest id that was kept is newer than the one that the client had.
    for (const [member, id] of missed?.seen ?? []) this.#seen.set(member, id);
    this.#openFeeds();
  }

  /** An event for the client, and for when it comes back. @param id that the member gave it. */
  #send(event: string, member?: string, id?: string): void {
    if (member !== undefined && id !== undefined) {
      // The newest goes last, so that it is the first to be written.
      this.#seen.delete(member);
      this.#seen.set(member, id);
    }
    const by = member === undefined ? {} : { member };
    const kept = this.#log?.keep({ event, ...by, ...(id === undefined ? {} : { id }) });
    if (kept !== undefined) this.#touching ??= this.#touchLog();
    const isNumbered = kept !== undefined || this.#seen.size > 0;
    this.#relay.send(isNumbered ? `id: ${sharedEventId(this.#seen, kept)}\n${event}` : event);
  }

  #touchLog(): Disposable {
    const { clock, limits } = this.#call.services;
    return clock.interval(Math.max(1_000, limits.nodes.streamEventMs / 2), () => this.#log?.touch());
  }

  /** Nothing comes by way of the relay itself. */
  forward(): undefined {
    return undefined;
  }

  farewell(farewell: Farewell): string {
    return this.#own.farewell(farewell);
  }

  toolsChanged(): undefined {
    this.#allChanged();
    return undefined;
  }

  drain(): string {
    return this.#own.drain();
  }

  upstreamEnded(failure: Refusal | undefined): { words: undefined; error: string } {
    return { words: undefined, error: failure?.name ?? '' };
  }

  abandoned(): void {
    this.#stop();
  }

  /** Members come and go with the configuration, while the stream goes on. */
  stands(standing: Standing): void {
    this.#standing = standing;
    if (!this.#ofOneCall) this.#openFeeds();
  }

  #openFeeds(): void {
    const members = this.#standing.route.members.filter(isHeard);
    for (const [key, { backend, feed }] of this.#feeds) {
      if (members.some(({ member }) => member.key === key && member.backend.key === backend)) continue;
      feed.stop();
      this.#feeds.delete(key);
    }
    const session = federatedSession(this.#call);
    for (const state of members) {
      const { key } = state.member;
      if (this.#feeds.has(key)) continue;
      const feed = this.#feedOf(session.member(state), this.#seen.get(key) ?? '', undefined);
      this.#feeds.set(key, { backend: state.backend.key, feed: feed.open() });
    }
  }

  /** A client that comes back for the rest of one call gets that alone, from the member that it asked. */
  #resumeCall(key: string, id: string): void {
    this.#ofOneCall = true;
    const { members } = this.#call.route as RouteState;
    const state = members.find(({ member }) => member.key === key);
    if (!state) return this.#relay.finish(undefined, endings.terminated);
    const session = federatedSession(this.#call).member(state);
    const feed = this.#feedOf(session, id, (own) => callEventId(key, own));
    this.#feeds.set(key, { backend: state.backend.key, feed: feed.open() });
  }

  #feedOf(session: MemberSession, lastEventId: string, eventId: EventNaming): MemberFeed {
    const { services } = this.#call;
    const events = new MemberEvents(this.#call, session);
    const request = (last: string) => ({
      ...({ verb: 'GET', method: '', body: undefined, repeatable: true, streams: true } as const),
      headers: withTrace(this.#call, last === '' ? [] : ['Last-Event-ID', last]),
    });
    const reader = {
      onEvent: (event: SseEvent) => this.#onEvent(session, events, event, eventId),
      onReturned: () => this.#allChanged(),
    };
    return new MemberFeed(services, session, { request, lastEventId }, reader);
  }

  #onEvent({ state }: MemberSession, events: MemberEvents, event: SseEvent, eventId: EventNaming): void {
    const { data, id } = event;
    const { key } = state.member;
    const changed = data === undefined ? undefined : changeOf(methodOf(data));
    if (changed !== undefined) {
      noteListChanged(this.#call.services, state.backend.key, changed);
      if (id !== undefined) this.#seen.set(key, id);
      return this.#changes.changed(key, changed);
    }
    const words = events.present(event, this.#standing, eventId);
    if (words === undefined) return;
    if (eventId) this.#relay.send(words);
    // An id alone is how far the client is, and nothing for it.
    else if (data === undefined || data === '') this.#seen.set(key, id ?? this.#seen.get(key) ?? '');
    else this.#send(words.toString(), key, id);
  }

  /** Each message goes to one of a session's streams. */
  #allChanged(): void {
    if (this.#call.session?.speaksOn(this.#call) !== true) return;
    for (const kind of changeKinds) this.#changes.changed('', kind);
  }

  #stop(): void {
    for (const kind of this.#changes.stop()) this.#log?.keepOn(listChanged(kind));
    this.#onReturned?.[Symbol.dispose]();
    this.#touching?.[Symbol.dispose]();
    this.#log?.close();
    for (const { feed } of this.#feeds.values()) feed.stop();
    this.#feeds.clear();
  }
}

/** What an event of a member is called; undefined: as all on the shared stream are. */
type EventNaming = ((id: string) => string) | undefined;
type SharedPoint = Extract<ResumePoint, { kind: 'shared' }>;

function listChanged(kind: ChangeKind): string {
  return encodeEvent({ data: `{"jsonrpc":"2.0","method":"notifications/${kind}/list_changed"}` });
}

function methodOf(data: string): string {
  if (!data.includes('list_changed')) return '';
  try {
    const { method } = JSON.parse(data) as { method?: unknown };
    return typeof method === 'string' ? method : '';
  } catch {
    return '';
  }
}
