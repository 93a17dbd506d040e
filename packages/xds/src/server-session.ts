/**
 * The server's end of one stream, of either variant, without the stream: what happened goes in, what to send and what to report comes
 * out. A function of its inputs; it reads collections and knows no clock and no socket.
 *
 * 1. The first request names the node; no later one may name another.
 * 2. At most one response of a type is unanswered. What is owed meanwhile goes into the next.
 * 3. A stream is brought from one position to the next in a round: data types in family order, at once; the type that
 *    closes the round right behind the last of them. A stream keeps its order and so does who reads it: nobody waits for
 *    answers, and both directions are written once.
 * 4. The position moves only between rounds, so that what is asked for during a round is served as of the same position
 *    and no response mixes two revisions of a collection.
 * 5. A nonce that is not the one in flight changes no bookkeeping; on a delta stream the names of the request count all
 *    the same, on the other variant the whole request counts for nothing.
 * 6. Types that remove late do so when everything else of the round has been answered, or when that takes too long.
 * 7. In a family without a type that closes rounds, a round is closed by its last answer.
 */
import type { ChangeSet } from './change-set.ts';
import type { ResourceFault } from './client-handler.ts';
import type { EncodedResponse, ResponseEncoder } from './encoded-response.ts';
import type { ResourceDelta, ResourceEntry } from './family.ts';
import { parseFaults } from './resource-fault.ts';
import { parseStructuredName } from './resource-name.ts';
import { revisionsOf, RoundReport } from './round-report.ts';
import type { SendOrder } from './send-order.ts';
import type { SessionDialect } from './session-dialect.ts';
import { statusCode, type StreamEnd } from './stream-end.ts';
import type { CollectionRevision, Refusal } from './stream-observer.ts';
import type { StreamCollections } from './stream-position.ts';
import type { StreamRequest } from './stream-request.ts';
import {
  type Coverage,
  findEntry,
  isConcernedBy,
  type LateRemovals,
  oweChanges,
  oweEverything,
  owesNothing,
  sizeOf,
  subscribedEntries,
  type Subscription,
} from './subscription.ts';
import { usualStep } from './usual-steps.ts';

export interface ServerSession {
  /** Undefined before the first request. */
  readonly nodeId: string | undefined;
  /** By type URL. */
  readonly types: ReadonlyMap<string, TypeState>;
  /** Of a family in which no type closes rounds. */
  readonly report: RoundReport;
  /** Types of which something is owed, waiting or unanswered. If there is none the stream is at its position, and may move on. */
  readonly unsettled: number;
  /** It asks for everything of each of its types, has been sent something of each, and asks for nothing by name. */
  readonly isPlain: boolean;
}

interface TypeState {
  readonly subscription: Subscription;
  /** The response that is not answered yet. */
  readonly inFlight: InFlight | undefined;
  /** What remains of a response that was too large for one message. */
  readonly parts: readonly ResourceDelta[];
  /** What the whole response, all parts together, brings up to date. */
  readonly coverage: Coverage;
  /** Why earlier parts of it were refused. */
  readonly faults: readonly ResourceFault[];
  /** What goes at the end of the round. */
  readonly late: LateRemovals | undefined;
  /** Nonce of the last response; empty before the first. */
  readonly lastNonce: string;
  /** A response has been answered. */
  readonly isAnswered: boolean;
}

interface InFlight {
  readonly nonce: string;
  readonly version: string;
  readonly delta: ResourceDelta;
  /** It only renews what the client has. */
  readonly isHeartbeat: boolean;
}

export type SessionEvent =
  | { readonly kind: 'request'; readonly request: StreamRequest }
  /** The stream's position has moved by these changes. Only for a session at rest. */
  | { readonly kind: 'advance'; readonly changes: ChangeSet }
  /** Resources with a lease are to be renewed. Only for clients that support it. */
  | { readonly kind: 'heartbeat' }
  /** What goes late has waited long enough. */
  | { readonly kind: 'overdue' };

export type SessionEffect =
  | { readonly kind: 'send'; readonly typeUrl: string; readonly response: EncodedResponse }
  /** A response without news was sent: it renews leases. */
  | { readonly kind: 'heartbeat'; readonly response: EncodedResponse }
  | { readonly kind: 'sent'; readonly collections: readonly CollectionRevision[] }
  | { readonly kind: 'acked'; readonly collections: readonly CollectionRevision[] }
  | { readonly kind: 'nacked'; readonly refusal: Refusal }
  /** A type of no family was asked for: it is answered as if it had no resources. */
  | { readonly kind: 'unknown-type'; readonly typeUrl: string }
  | { readonly kind: 'close'; readonly end: StreamEnd };

export interface SessionContext {
  readonly dialect: SessionDialect;
  readonly order: SendOrder;
  /** At the stream's position. */
  readonly collections: StreamCollections;
  /** Gives a response its nonce and bytes. */
  readonly encoder: ResponseEncoder;
  readonly limits: SessionLimits;
}

export interface SessionLimits {
  /** Types that one stream may ask for. */
  readonly maxTypesPerStream: number;
  /** Names and globs that one stream may subscribe to, all types together. */
  readonly maxNamesPerStream: number;
}

export interface SessionStep {
  readonly session: ServerSession;
  readonly effects: readonly SessionEffect[];
}

export const newServerSession: ServerSession = {
  nodeId: undefined,
  types: new Map(),
  report: RoundReport.none,
  unsettled: 0,
  isPlain: false,
};

export function stepServer(session: ServerSession, event: SessionEvent, context: SessionContext): SessionStep {
  return usualStep(session, event, context) ?? wholeStep(session, event, context);
}

/** A step that looks at everything. */
export function wholeStep(session: ServerSession, event: SessionEvent, context: SessionContext): SessionStep {
  const turn = new Turn(session, context);
  if (event.kind === 'request') turn.request(event.request);
  else if (event.kind === 'advance') turn.advance(event.changes);
  else if (event.kind === 'heartbeat') turn.heartbeat();
  else turn.overdue();
  return turn.end();
}

/** What is wrong with the node and type that a request names. @param nodeId of the first request; undefined if this is it. */
export function identify(nodeId: string | undefined, { node, typeUrl }: StreamRequest): StreamEnd | undefined {
  const id = node?.id ?? '';
  if (typeUrl === '') return invalid('type_url is empty: a request on the aggregated stream names its type');
  if (nodeId === undefined && id === '') return invalid('node.id is empty: the first request names the node');
  if (nodeId !== undefined && id !== '' && id !== nodeId) {
    return invalid(`node.id "${id}" is not the one of the first request: open another stream`);
  }
  return undefined;
}

/** Nothing is owed, waiting or unanswered. */
export function isAtRest({ unsettled }: ServerSession): boolean {
  return unsettled === 0;
}

/** Something waits for the rest of its round to be answered before it goes. */
export function awaitsRemoval(session: ServerSession): boolean {
  for (const state of session.types.values()) if (state.late) return true;
  return false;
}

function isTypeAtRest(state: TypeState): boolean {
  return state.inFlight === undefined && state.late === undefined && isTypeSent(state);
}

/** A wildcard and nothing else, of which something has been sent. */
function isTypePlain({ subscription, lastNonce }: TypeState): boolean {
  const { wildcard, globs, names } = subscription;
  return wildcard && globs.size === 0 && names.size === 0 && lastNonce !== '';
}

function isTypeSent({ subscription, parts }: TypeState): boolean {
  return parts.length === 0 && owesNothing(subscription);
}

/** All but what goes at the end of the round has been sent and answered. */
function isTypeSettled(state: TypeState): boolean {
  return state.inFlight === undefined && isTypeSent(state);
}

/** One event on its way through a session. */
class Turn {
  readonly #context: SessionContext;
  readonly #effects: SessionEffect[] = [];
  readonly #types: Map<string, TypeState>;
  #nodeId: string | undefined;
  #report: RoundReport;

  constructor(session: ServerSession, context: SessionContext) {
    this.#context = context;
    this.#types = new Map(session.types);
    this.#nodeId = session.nodeId;
    this.#report = session.report;
  }

  end(): SessionStep {
    const { types } = this.#context.order;
    let unsettled = 0;
    for (const state of this.#types.values()) if (!isTypeAtRest(state)) unsettled += 1;
    const isPlain = this.#everyType((state, typeUrl) => types.has(typeUrl) && isTypePlain(state));
    const session = { nodeId: this.#nodeId, types: this.#types, report: this.#report, unsettled, isPlain };
    return { session, effects: this.#effects };
  }

  request(request: StreamRequest): void {
    const known = this.#types.get(request.typeUrl);
    const isStale = known !== undefined && this.#context.dialect.ignores(request, known.lastNonce);
    const refusal = identify(this.#nodeId, request) ?? (isStale ? undefined : this.#subscribe(request));
    if (refusal) return void this.#effects.push({ kind: 'close', end: refusal });
    if (isStale) return;
    this.#nodeId ??= request.node?.id;
    this.#answer(request);
    this.#pump();
  }

  advance(changes: ChangeSet): void {
    if (this.#reportsRounds) this.#report = this.#report.withChanges(changes);
    for (const [typeUrl, state] of this.#types) {
      if (!isTypeAtRest(state)) throw new Error(`a stream was moved on while ${typeUrl} is not at rest`);
      const isConcerned = this.#closesRound(typeUrl) || isConcernedBy(state.subscription, changes);
      if (isConcerned) this.#types.set(typeUrl, { ...state, subscription: oweChanges(state.subscription, changes) });
    }
    this.#pump();
  }

  /** Takes away what has waited for answers that do not come. What is sent of a type has to be answered first, all the same. */
  overdue(): void {
    for (const typeUrl of this.#context.order.late) if (this.#isSettled(typeUrl)) this.#sendLate(typeUrl);
    this.#pump();
  }

  /** Sends what renews leases, for types of which nothing else is on its way. */
  heartbeat(): void {
    const { dialect, order } = this.#context;
    for (const [typeUrl, state] of this.#types) {
      if (!isTypeAtRest(state) || !dialect.renews(order.types.get(typeUrl))) continue;
      const updated = subscribedEntries(state.subscription, this.#context.collections).flatMap(asHeartbeat);
      if (updated.length > 0) this.#transmit(typeUrl, state, { updated, removed: [] }, true);
    }
  }

  /** In a family without a type that closes rounds they are reported as a whole. */
  get #reportsRounds(): boolean {
    return this.#context.order.closing.size === 0;
  }

  #subscribe(request: StreamRequest): StreamEnd | undefined {
    const { limits, dialect, order } = this.#context;
    const state = this.#types.get(request.typeUrl);
    if (!state && this.#types.size >= limits.maxTypesPerStream) {
      return exhausted(`a stream may ask for at most ${limits.maxTypesPerStream} types`);
    }
    const type = order.types.get(request.typeUrl);
    if (!state && !type) {
      this.#effects.push({ kind: 'unknown-type', typeUrl: request.typeUrl });
    }
    let subscription = dialect.subscribe(state?.subscription, request, type);
    if (subscription === state?.subscription) return undefined;
    if (!state) {
      if (this.#reportsRounds) this.#report = this.#report.withEverything();
      // Too late for what it follows to bring it about: see `#follow`.
      const leader = this.#types.get(order.leaders.get(request.typeUrl) ?? '');
      if (leader && leader.lastNonce !== '') subscription = oweEverything(subscription);
    }
    this.#types.set(request.typeUrl, { ...(state ?? unsent), subscription });
    const names = [...this.#types.values()].reduce((sum, type) => sum + sizeOf(type.subscription), 0);
    if (names <= limits.maxNamesPerStream) return undefined;
    return exhausted(`a stream may subscribe to at most ${limits.maxNamesPerStream} names`);
  }

  #closesRound(typeUrl: string): boolean {
    return this.#context.order.closing.has(typeUrl);
  }

  /** Takes an ACK or NACK of the response in flight. Presence of `error_detail` makes a NACK, whatever its code. */
  #answer({ typeUrl, responseNonce, errorDetail }: StreamRequest): void {
    const state = this.#types.get(typeUrl);
    const answered = state?.inFlight;
    if (!state || answered?.nonce !== responseNonce) return;
    const newFaults = errorDetail ? parseFaults(errorDetail.message) : [];
    const faults = [...state.faults, ...newFaults];
    const isLastPart = state.parts.length === 0;
    const isAnswered = true;
    this.#types.set(typeUrl, { ...state, inFlight: undefined, isAnswered, faults: isLastPart ? [] : faults });
    if (answered.isHeartbeat) return;
    if (!this.#closesRound(typeUrl)) {
      if (newFaults.length === 0) return this.#acknowledged(typeUrl, answered.delta);
      const refusal = { typeUrl, closesRound: false, faults: newFaults, ...this.#refusedIn(typeUrl, answered) };
      const names = answered.delta.updated.map(({ name }) => name);
      if (this.#reportsRounds) this.#report = this.#report.withRefusal(refusal, names);
      this.#effects.push({ kind: 'nacked', refusal });
    } else if (isLastPart) {
      const collections = this.#covered(state.coverage);
      const { nonce, version } = answered;
      if (faults.length === 0) this.#effects.push({ kind: 'acked', collections });
      else {
        const refusal = { typeUrl, closesRound: true, collections, faults, nonce, version };
        this.#effects.push({ kind: 'nacked', refusal });
      }
    }
  }

  #acknowledged(typeUrl: string, { updated, removed }: ResourceDelta): void {
    if (!this.#reportsRounds) return;
    const names = new Set([...updated.map(({ name }) => name), ...removed]);
    const { collections } = this.#context;
    const stands = (name: string) => !names.has(name) && findEntry(collections, typeUrl, name) !== undefined;
    this.#report = this.#report.withAcknowledgement(typeUrl, stands);
  }

  #refusedIn(typeUrl: string, { delta, nonce, version }: InFlight): Pick<Refusal, 'collections' | 'nonce' | 'version'> {
    return { collections: this.#collectionsIn(typeUrl, delta), nonce, version };
  }

  #covered(coverage: Coverage): readonly CollectionRevision[] {
    const { collections } = this.#context;
    const ids = coverage === 'all' ? [...collections.ids()] : coverage;
    return ids.map((id) => ({ id, revision: collections.get(id)?.revision }));
  }

  #collectionsIn(typeUrl: string, { updated, removed }: ResourceDelta): readonly CollectionRevision[] {
    const { collections } = this.#context;
    const names = [...updated.map((entry) => entry.name), ...removed];
    const ids = new Set(
      names.flatMap((name) => {
        const known = parseStructuredName(name)?.collection ?? findEntry(collections, typeUrl, name)?.collection;
        return known ?? [];
      }),
    );
    if (!this.#reportsRounds) return this.#covered([...ids]);
    return [...ids].flatMap((id) => revisionsOf(id, collections.get(id)));
  }

  /**
   * Sends whatever may be sent: data types in family order; the closing type once all data is sent; what goes late once
   * all of this is answered.
   */
  #pump(): void {
    const { data, closing, types, late } = this.#context.order;
    for (const [at, typeUrl] of data.entries()) {
      if (types.get(typeUrl)?.awaitsEarlier && !data.slice(0, at).every((earlier) => this.#isSettled(earlier)))
        continue;
      this.#send(typeUrl);
    }
    for (const typeUrl of this.#types.keys()) if (!types.has(typeUrl)) this.#send(typeUrl);
    if (this.#everyType((state, typeUrl) => closing.has(typeUrl) || isTypeSent(state))) {
      for (const typeUrl of closing) this.#send(typeUrl);
      for (const typeUrl of late) if (this.#everyType(isTypeSettled)) this.#sendLate(typeUrl);
    }
    if (this.#reportsRounds) this.#reportRound();
  }

  #isSettled(typeUrl: string): boolean {
    const state = this.#types.get(typeUrl);
    return !state || isTypeSettled(state);
  }

  #everyType(condition: (state: TypeState, typeUrl: string) => boolean): boolean {
    for (const [typeUrl, state] of this.#types) if (!condition(state, typeUrl)) return false;
    return true;
  }

  #send(typeUrl: string): void {
    let state = this.#types.get(typeUrl);
    if (!state || state.inFlight) return;
    if (state.parts.length === 0) {
      if (owesNothing(state.subscription)) return;
      const { collections, dialect, encoder, order } = this.#context;
      const composed = dialect.compose(state.subscription, collections, order.types.get(typeUrl));
      const { delta, answer, coverage, subscription, isWhole } = composed;
      const isEmpty = delta.updated.length === 0 && delta.removed.length === 0;
      const whole = isWhole ? [delta] : encoder.split(delta);
      const parts = isEmpty && !answer ? [] : whole;
      state = { ...state, subscription, parts, coverage, late: joinedLate(state.late, composed.late) };
      if (parts.length === 0) this.#settledWithoutResponse(typeUrl, coverage);
    }
    const [delta, ...parts] = state.parts;
    if (!delta) return void this.#types.set(typeUrl, state);
    const isFirst = state.lastNonce === '';
    this.#transmit(typeUrl, { ...state, parts }, delta);
    if (parts.length === 0 && this.#closesRound(typeUrl)) {
      this.#effects.push({ kind: 'sent', collections: this.#covered(state.coverage) });
    }
    if (isFirst) this.#follow(typeUrl);
  }

  #transmit(typeUrl: string, state: TypeState, delta: ResourceDelta, isHeartbeat = false): void {
    const response = this.#context.encoder.encode(typeUrl, delta);
    const { nonce, version } = response;
    const inFlight = { nonce, version, delta, isHeartbeat };
    this.#types.set(typeUrl, { ...state, inFlight, lastNonce: nonce });
    this.#effects.push(isHeartbeat ? { kind: 'heartbeat', response } : { kind: 'send', typeUrl, response });
  }

  /** After its first response of one type a client may wait for another although it holds it. */
  #follow(typeUrl: string): void {
    const follower = this.#context.order.types.get(typeUrl)?.followedBy;
    const state = follower === undefined ? undefined : this.#types.get(follower);
    if (!state || follower === undefined) return;
    this.#types.set(follower, { ...state, subscription: oweEverything(state.subscription) });
  }

  #sendLate(typeUrl: string): void {
    const state = this.#types.get(typeUrl);
    if (!state?.late) return;
    const { collections, dialect, encoder } = this.#context;
    const { delta, isWhole } = dialect.composeLate(state.subscription, collections, state.late);
    const [first, ...parts] = isWhole ? [delta] : encoder.split(delta);
    if (first) this.#transmit(typeUrl, { ...state, late: undefined, parts }, first);
  }

  #reportRound(): void {
    const { order, collections } = this.#context;
    const isSent = this.#everyType((state) => isTypeSent(state) && state.late === undefined);
    const isAnswered = this.#everyType(isTypeAtRest);
    if (!isSent || !order.appliedWith.every((typeUrl) => this.#types.get(typeUrl)?.isAnswered === true)) return;
    const { report, effects } = this.#report.reported(isAnswered, collections);
    this.#report = report;
    this.#effects.push(...effects);
  }

  /** Collections whose closing resource did not change are closed by what was answered before. */
  #settledWithoutResponse(typeUrl: string, coverage: Coverage): void {
    if (!this.#closesRound(typeUrl) || coverage.length === 0) return;
    const collections = this.#covered(coverage);
    this.#effects.push({ kind: 'sent', collections }, { kind: 'acked', collections });
  }
}

function asHeartbeat({ name, version, revision, lease }: ResourceEntry): readonly ResourceEntry[] {
  if (!lease) return [];
  const { heartbeat: encoded } = lease;
  return [{ name, version, revision, encoded, lease: { encoded, heartbeat: encoded } }];
}

function joinedLate(one: LateRemovals | undefined, other: LateRemovals | undefined): LateRemovals | undefined {
  if (!one || !other) return one ?? other;
  return { removed: [...one.removed, ...other.removed], retained: [...one.retained, ...other.retained] };
}

/** A type of which nothing has been sent. */
const unsent: Omit<TypeState, 'subscription'> = {
  ...{ inFlight: undefined, parts: [], coverage: [], faults: [], late: undefined, lastNonce: '', isAnswered: false },
};

function invalid(message: string): StreamEnd {
  return { code: statusCode.invalidArgument, message };
}

function exhausted(message: string): StreamEnd {
  return { code: statusCode.resourceExhausted, message };
}
