import { type Clock, Roster, type Rostered } from '@signalbox/runtime';
import type { MemberLeg } from '../federation/member-leg.ts';
import type { RecordKey, SharedState } from '../nodes/shared-state.ts';
import { readRecord, type SessionFacts, type SessionReference, type SessionSeal } from './sealed-session.ts';

export interface SessionsOptions {
  readonly seal: SessionSeal;
  /** Where other nodes hear of what ends here, and what does not fit into an id is kept. */
  readonly state: Pick<SharedState, 'self' | 'endings' | 'records'>;
  readonly clock: Clock;
  /** Milliseconds after which a session that is not used, on any node, expires; 0: never. */
  readonly idleMs: number;
  /** Opened ids that are remembered. */
  readonly maxOpened: number;
  /** Ended sessions that are remembered; the upstream has forgotten the others as well. */
  readonly maxEnded: number;
  /** Requests of one session that can be cancelled at a time. */
  readonly maxInFlight: number;
  /** Another node has ended a session that this one knows. */
  onEndedElsewhere(session: Session): void;
}

/** A request of a session that its client may cancel. */
export interface InFlight extends Rostered {
  /** Raw JSON of the client's id. */
  readonly clientId: string;
  /** Raw JSON of the minted id that the upstream knows. */
  readonly upstreamId: string;
  /** Of a federation: how the member is spoken to that the request went to. */
  readonly leg?: MemberLeg | undefined;
  /** Tells the upstream that nobody waits for it any more. */
  cancel(): void;
}

interface SessionOrigin {
  /** Requests that can be cancelled at a time. */
  readonly maxInFlight: number;
  /** Its facts did not fit into its id. */
  readonly isReferred: boolean;
  /** It begins here. */
  readonly isNew: boolean;
}

/** An open legacy session, as this node sees it. */
export class Session {
  readonly facts: SessionFacts;
  /** Its facts did not fit into its id. */
  readonly isReferred: boolean;
  /** Headers of every JSON POST to the upstream in this session. */
  readonly headers: readonly string[];
  /** For the cache: used since it was last looked at for eviction. */
  used = false;
  readonly #inFlight = new Roster<InFlight>();
  readonly #listeners = new Set<() => void>();
  /** Its GET streams on this node, the oldest first. */
  readonly #streams = new Set<object>();
  readonly #clock: Clock;
  readonly #maxInFlight: number;
  /** When this node last had to do with it, by the monotonic clock. */
  #usedAt: number;
  /** When other nodes were last told that it is used here, by the monotonic clock. */
  #toldAt: number;

  constructor(facts: SessionFacts, clock: Clock, { maxInFlight, isReferred, isNew }: SessionOrigin) {
    this.facts = facts;
    this.isReferred = isReferred;
    this.#clock = clock;
    this.#maxInFlight = maxInFlight;
    this.#usedAt = clock.monotonic();
    // Nodes that have not seen it need not be told, and nobody else has seen a new one.
    this.#toldAt = isNew ? clock.monotonic() : -Infinity;
    const session = facts.upstreamId === '' ? [] : ['Mcp-Session-Id', facts.upstreamId];
    this.headers = [
      ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
      ...['MCP-Protocol-Version', facts.version, ...session],
    ];
  }

  /** Somebody asked for it just now. */
  touch(): void {
    this.used = true;
    this.#usedAt = this.#clock.monotonic();
  }

  /** It is used; @returns whether that is to be told: so often, in milliseconds. */
  tells(everyMs: number): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#toldAt < everyMs) return false;
    this.#toldAt = now;
    return true;
  }

  /** Nothing of it is open on this node, and nothing was for so many milliseconds. */
  isIdle(ms: number): boolean {
    return this.#inFlight.size === 0 && this.#listeners.size === 0 && this.#clock.monotonic() - this.#usedAt >= ms;
  }

  /** Beyond the bound a request runs, but cannot be cancelled. */
  begin(request: InFlight): void {
    if (this.#inFlight.size < this.#maxInFlight) this.#inFlight.add(request);
  }

  end(request: InFlight): void {
    if (this.#inFlight.delete(request)) this.#usedAt = this.#clock.monotonic();
  }

  /** The request that is in flight under an id of the client's. Undefined when there is none, or more than one. */
  inFlight(clientId: string): InFlight | undefined {
    let found: InFlight | undefined;
    for (const request of this.#inFlight) {
      if (request.clientId !== clientId) continue;
      if (found !== undefined) return undefined;
      found = request;
    }
    return found;
  }

  /** Calls back when the session is ended on this node: its streams end with it. */
  onEnded(listener: () => void): void {
    this.#listeners.add(listener);
  }

  forget(listener: () => void): void {
    this.#listeners.delete(listener);
    this.#usedAt = this.#clock.monotonic();
  }

  /** A GET stream of it has opened; `closed` follows. */
  opened(stream: object): void {
    this.#streams.add(stream);
  }

  closed(stream: object): void {
    this.#streams.delete(stream);
  }

  /** Whether a GET stream is the one that carries what the gateway itself has to say. */
  speaksOn(stream: object): boolean {
    return this.#streams.values().next().value === stream;
  }

  close(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

/**
 * Sessions by their sealed id: one `Map.get` for those that this node has seen. Most ids carry all there is; for the
 * others the shared state is asked once. What other nodes end is told to this one, so that nobody has to be asked.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  /** Oldest first; a used one gets a second chance before it is evicted. */
  readonly #opened = new Map<string, Session>();
  /** Names of ended sessions, oldest first: their ids would still open. */
  readonly #ended = new Set<string>();
  /** Ids of those that were opened, by the name of their session. */
  readonly #ids = new Map<string, string>();
  /** Sessions whose facts are being asked for, by id. */
  readonly #loading = new Map<string, Promise<Session | undefined>>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    options.state.endings.onEnding((name) => this.#endedElsewhere(name));
  }

  /**
   * @returns the sealed id of a new session; later when its facts do not fit into it.
   * @throws SharedStateError, as a rejection, when they cannot be kept.
   */
  create(facts: SessionFacts): string | Promise<string> {
    const { seal, state, clock } = this.#options;
    const { id, record } = seal.seal(facts);
    const session = this.#sessionOf(facts, { isReferred: record !== undefined, isNew: true });
    if (record === undefined) {
      this.#remember(id, session);
      return id;
    }
    const key = { tenant: facts.tenant, session: facts.name };
    return state.records.put(key, record, facts.expiresAt - clock.now()).then(() => {
      this.#remember(id, session);
      return id;
    });
  }

  /** The session of a name, if this node knows it. */
  byName(name: string): Session | undefined {
    return this.#opened.get(this.#ids.get(name) ?? '');
  }

  /**
   * The session of an id; undefined when it is forged, unknown, expired or ended, or when this node has not had to do with
   * it for too long. A session that this node does not remember counts as used now (docs/rfd/0012).
   * @throws SharedStateError, as a rejection, when its facts are elsewhere and nobody can say what they are.
   */
  open(id: string): Session | undefined | Promise<Session | undefined> {
    const session = this.#opened.get(id) ?? this.#unseal(id);
    return session instanceof Promise ? session.then((loaded) => this.#usable(id, loaded)) : this.#usable(id, session);
  }

  /** Sessions that this node remembers, by id. */
  known(): Iterable<readonly [id: string, session: Session]> {
    return this.#opened;
  }

  /** Gives up sessions that are idle or have expired, so many at most. @returns them: their servers still keep them. */
  takeIdle(max: number): readonly Session[] {
    const { idleMs, clock } = this.#options;
    const taken: Session[] = [];
    for (const [id, session] of this.#opened) {
      if (taken.length === max) break;
      if (!session.isIdle(idleMs) && session.facts.expiresAt > clock.now()) continue;
      this.end(id, session);
      taken.push(session);
    }
    return taken;
  }

  /** From now on the id opens nothing, on any node. */
  end(id: string, session: Session): void {
    const { name, tenant, expiresAt } = session.facts;
    const { endings, records } = this.#options.state;
    this.#end(id, session);
    endings.announce(name, expiresAt);
    if (session.isReferred) void records.delete({ tenant, session: name });
  }

  /** A session is used, or something of it is open. Other nodes hear of it now and then, without anybody waiting. */
  inUse(session: Session): void {
    const { idleMs, state } = this.#options;
    if (idleMs === 0 || !session.tells(idleMs / toldPerIdle)) return;
    const lifeMs = idleMs * (1 + 1 / toldPerIdle);
    state.records.put(useOf(session), state.self, lifeMs).catch(() => undefined);
  }

  #usable(id: string, session: Session | undefined): Session | undefined | Promise<Session | undefined> {
    if (!session) return undefined;
    if (session.facts.expiresAt <= this.#options.clock.now()) {
      this.#forget(id, session);
      return undefined;
    }
    const { idleMs } = this.#options;
    if (idleMs > 0 && session.isIdle(idleMs)) return this.#unlessIdleElsewhere(id, session);
    session.touch();
    this.inUse(session);
    return session;
  }

  /** A session that was not used here may have been used at another node. When nobody can say, it was not. */
  async #unlessIdleElsewhere(id: string, session: Session): Promise<Session | undefined> {
    const { state, idleMs } = this.#options;
    const node = await state.records.get(useOf(session)).catch(() => undefined);
    const isUsed = (node !== undefined && node !== state.self) || !session.isIdle(idleMs);
    if (isUsed && !this.#ended.has(session.facts.name)) {
      session.touch();
      this.inUse(session);
      return session;
    }
    // Only this node gives it up: another one may be about to use it.
    this.#end(id, session);
    return undefined;
  }

  #end(id: string, session: Session): void {
    this.#forget(id, session);
    this.#noteEnded(session.facts.name);
    session.close();
  }

  #endedElsewhere(name: string): void {
    this.#noteEnded(name);
    const id = this.#ids.get(name);
    const session = id === undefined ? undefined : this.#opened.get(id);
    if (id === undefined || !session) return;
    this.#end(id, session);
    this.#options.onEndedElsewhere(session);
  }

  #noteEnded(name: string): void {
    const oldest = this.#ended.keys().next();
    if (this.#ended.size >= this.#options.maxEnded && !oldest.done) this.#ended.delete(oldest.value);
    this.#ended.add(name);
  }

  #unseal(id: string): Session | undefined | Promise<Session | undefined> {
    const facts = this.#options.seal.open(id);
    if (!facts || this.#ended.has(facts.name) || facts.expiresAt <= this.#options.clock.now()) return undefined;
    if (!('route' in facts)) return this.#load(id, facts);
    const session = this.#sessionOf(facts, { isReferred: false, isNew: false });
    this.#remember(id, session);
    return session;
  }

  /** Requests that come at the same time share one question. */
  #load(id: string, reference: SessionReference): Promise<Session | undefined> {
    const known = this.#loading.get(id);
    if (known) return known;
    const { name, tenant } = reference;
    const loading = this.#options.state.records
      .get({ tenant, session: name })
      .then((record) => {
        const facts = record === undefined ? undefined : readRecord(reference, record);
        if (!facts || this.#ended.has(name)) return undefined;
        const session = this.#sessionOf(facts, { isReferred: true, isNew: false });
        this.#remember(id, session);
        return session;
      })
      .finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  #sessionOf(facts: SessionFacts, origin: Omit<SessionOrigin, 'maxInFlight'>): Session {
    const { clock, maxInFlight } = this.#options;
    return new Session(facts, clock, { ...origin, maxInFlight });
  }

  #remember(id: string, session: Session): void {
    if (this.#opened.size >= this.#options.maxOpened) this.#evict();
    this.#opened.set(id, session);
    this.#ids.set(session.facts.name, id);
  }

  #forget(id: string, session: Session): void {
    this.#opened.delete(id);
    this.#ids.delete(session.facts.name);
  }

  #evict(): void {
    for (const [id, session] of this.#opened) {
      if (!session.used) return this.#forget(id, session);
      this.#opened.delete(id);
      session.used = false;
      this.#opened.set(id, session);
    }
  }
}

/** How often within the idle time other nodes are told that a session is used. */
const toldPerIdle = 4;

/** Where it is said which node used a session last. */
function useOf({ facts: { tenant, name } }: Session): RecordKey {
  return { tenant, session: `use-${name}` };
}
