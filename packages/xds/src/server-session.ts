/**
 * The server's end of one delta stream, without the stream: what happened goes in, what to send and what to report comes
 * out. A function of its inputs; it reads collections and knows no clock and no socket.
 *
 * 1. The first request names the node; no later one may name another.
 * 2. At most one response of a type is unanswered. What is owed meanwhile goes into the next.
 * 3. A stream is brought from one position to the next in a round: data types in family order, at once; the type that
 *    closes the round only after every data response has been answered, by ACK or NACK.
 * 4. The position moves only between rounds, so that what is asked for during a round is served as of the same position
 *    and no response mixes two revisions of a collection.
 * 5. A nonce that is not the one in flight changes no bookkeeping; the names of the request count all the same.
 */
import type { DeltaDiscoveryRequest } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { ChangeSet } from './change-set.ts';
import type { ResourceFault } from './client-handler.ts';
import type { EncodedResponse, ResponseEncoder } from './encoded-response.ts';
import type { ResourceDelta } from './family.ts';
import { parseFaults } from './resource-fault.ts';
import { parseStructuredName } from './resource-name.ts';
import type { SendOrder } from './send-order.ts';
import { statusCode, type StreamEnd } from './stream-end.ts';
import type { CollectionRevision, Refusal } from './stream-observer.ts';
import type { StreamCollections } from './stream-position.ts';
import {
  compose,
  type Coverage,
  firstSubscription,
  isConcernedBy,
  oweChanges,
  owesNothing,
  resubscribe,
  sizeOf,
  type Subscription,
} from './subscription.ts';

export interface ServerSession {
  /** Undefined before the first request. */
  readonly nodeId: string | undefined;
  /** By type URL. */
  readonly types: ReadonlyMap<string, TypeState>;
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
}

interface InFlight {
  readonly nonce: string;
  readonly delta: ResourceDelta;
}

export type SessionEvent =
  | { readonly kind: 'request'; readonly request: DeltaDiscoveryRequest }
  /** The stream's position has moved by these changes. Only for a session at rest. */
  | { readonly kind: 'advance'; readonly changes: ChangeSet };

export type SessionEffect =
  | { readonly kind: 'send'; readonly typeUrl: string; readonly response: EncodedResponse }
  | { readonly kind: 'sent'; readonly collections: readonly CollectionRevision[] }
  | { readonly kind: 'acked'; readonly collections: readonly CollectionRevision[] }
  | { readonly kind: 'nacked'; readonly refusal: Refusal }
  /** A type of no family was asked for: it is answered as if it had no resources. */
  | { readonly kind: 'unknown-type'; readonly typeUrl: string }
  | { readonly kind: 'close'; readonly end: StreamEnd };

export interface SessionContext {
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

export const newServerSession: ServerSession = { nodeId: undefined, types: new Map() };

export function stepServer(session: ServerSession, event: SessionEvent, context: SessionContext): SessionStep {
  const turn = new Turn(session, context);
  if (event.kind === 'request') turn.request(event.request);
  else turn.advance(event.changes);
  return turn.end();
}

/** What is wrong with the node and type that a request names. @param nodeId of the first request; undefined if this is it. */
export function identify(nodeId: string | undefined, { node, typeUrl }: DeltaDiscoveryRequest): StreamEnd | undefined {
  const id = node?.id ?? '';
  if (typeUrl === '') return invalid('type_url is empty: a request on the aggregated stream names its type');
  if (nodeId === undefined && id === '') return invalid('node.id is empty: the first request names the node');
  if (nodeId !== undefined && id !== '' && id !== nodeId) {
    return invalid(`node.id "${id}" is not the one of the first request: open another stream`);
  }
  return undefined;
}

/** Nothing is owed, waiting or unanswered: the stream is at its position, and may move on. */
export function isAtRest(session: ServerSession): boolean {
  for (const state of session.types.values()) if (!isTypeAtRest(state)) return false;
  return true;
}

function isTypeAtRest({ subscription, inFlight, parts }: TypeState): boolean {
  return inFlight === undefined && parts.length === 0 && owesNothing(subscription);
}

/** One event on its way through a session. */
class Turn {
  readonly #context: SessionContext;
  readonly #effects: SessionEffect[] = [];
  readonly #types: Map<string, TypeState>;
  #nodeId: string | undefined;

  constructor(session: ServerSession, context: SessionContext) {
    this.#context = context;
    this.#types = new Map(session.types);
    this.#nodeId = session.nodeId;
  }

  end(): SessionStep {
    return { session: { nodeId: this.#nodeId, types: this.#types }, effects: this.#effects };
  }

  request(request: DeltaDiscoveryRequest): void {
    const refusal = identify(this.#nodeId, request) ?? this.#subscribe(request);
    if (refusal) return void this.#effects.push({ kind: 'close', end: refusal });
    this.#nodeId ??= request.node?.id;
    this.#answer(request);
    this.#pump();
  }

  advance(changes: ChangeSet): void {
    for (const [typeUrl, state] of this.#types) {
      if (!isTypeAtRest(state)) throw new Error(`a stream was moved on while ${typeUrl} is not at rest`);
      const isConcerned = this.#closesRound(typeUrl) || isConcernedBy(state.subscription, changes);
      if (isConcerned) this.#types.set(typeUrl, { ...state, subscription: oweChanges(state.subscription, changes) });
    }
    this.#pump();
  }

  #subscribe(request: DeltaDiscoveryRequest): StreamEnd | undefined {
    const { limits } = this.#context;
    const state = this.#types.get(request.typeUrl);
    if (!state && this.#types.size >= limits.maxTypesPerStream) {
      return exhausted(`a stream may ask for at most ${limits.maxTypesPerStream} types`);
    }
    if (!state && !this.#context.order.known.has(request.typeUrl)) {
      this.#effects.push({ kind: 'unknown-type', typeUrl: request.typeUrl });
    }
    if (state && !changesNames(request)) return undefined;
    const subscription = state ? resubscribe(state.subscription, request) : firstSubscription(request);
    this.#types.set(request.typeUrl, { ...(state ?? unsent), subscription });
    const names = [...this.#types.values()].reduce((sum, type) => sum + sizeOf(type.subscription), 0);
    if (names <= limits.maxNamesPerStream) return undefined;
    return exhausted(`a stream may subscribe to at most ${limits.maxNamesPerStream} names`);
  }

  #closesRound(typeUrl: string): boolean {
    return this.#context.order.closing.has(typeUrl);
  }

  /** Takes an ACK or NACK of the response in flight. Presence of `error_detail` makes a NACK, whatever its code. */
  #answer({ typeUrl, responseNonce, errorDetail }: DeltaDiscoveryRequest): void {
    const state = this.#types.get(typeUrl);
    if (!state?.inFlight || state.inFlight.nonce !== responseNonce) return;
    const newFaults = errorDetail ? parseFaults(errorDetail.message) : [];
    const faults = [...state.faults, ...newFaults];
    const isLastPart = state.parts.length === 0;
    this.#types.set(typeUrl, { ...state, inFlight: undefined, faults: isLastPart ? [] : faults });
    if (!this.#closesRound(typeUrl)) {
      if (newFaults.length > 0) this.#refused(typeUrl, this.#collectionsIn(state.inFlight.delta), newFaults);
    } else if (isLastPart) {
      const collections = this.#covered(state.coverage);
      if (faults.length > 0) this.#refused(typeUrl, collections, faults);
      else this.#effects.push({ kind: 'acked', collections });
    }
  }

  #refused(typeUrl: string, collections: readonly CollectionRevision[], faults: readonly ResourceFault[]): void {
    const closesRound = this.#closesRound(typeUrl);
    this.#effects.push({ kind: 'nacked', refusal: { typeUrl, closesRound, collections, faults } });
  }

  #covered(coverage: Coverage): readonly CollectionRevision[] {
    const { collections } = this.#context;
    const ids = coverage === 'all' ? [...collections.ids()] : coverage;
    return ids.map((id) => ({ id, revision: collections.get(id)?.revision }));
  }

  #collectionsIn({ updated, removed }: ResourceDelta): readonly CollectionRevision[] {
    const names = [...updated.map((entry) => entry.name), ...removed];
    return this.#covered([...new Set(names.flatMap((name) => parseStructuredName(name)?.collection ?? []))]);
  }

  /** Sends whatever may be sent: data types in family order, then the closing type once all data is answered. */
  #pump(): void {
    const { data, closing, known } = this.#context.order;
    for (const typeUrl of data) this.#send(typeUrl);
    for (const typeUrl of this.#types.keys()) if (!known.has(typeUrl)) this.#send(typeUrl);
    for (const [typeUrl, state] of this.#types) if (!closing.has(typeUrl) && !isTypeAtRest(state)) return;
    for (const typeUrl of closing) this.#send(typeUrl);
  }

  #send(typeUrl: string): void {
    let state = this.#types.get(typeUrl);
    if (!state || state.inFlight) return;
    if (state.parts.length === 0) {
      if (owesNothing(state.subscription)) return;
      const { delta, answer, coverage, subscription } = compose(state.subscription, this.#context.collections);
      const isEmpty = delta.updated.length === 0 && delta.removed.length === 0;
      const parts = isEmpty && !answer ? [] : this.#context.encoder.split(delta);
      state = { ...state, subscription, parts, coverage };
      if (parts.length === 0) this.#settledWithoutResponse(typeUrl, coverage);
    }
    const [delta, ...parts] = state.parts;
    if (!delta) return void this.#types.set(typeUrl, state);
    const response = this.#context.encoder.encode(typeUrl, delta);
    this.#types.set(typeUrl, { ...state, parts, inFlight: { nonce: response.nonce, delta } });
    this.#effects.push({ kind: 'send', typeUrl, response });
    if (parts.length === 0 && this.#closesRound(typeUrl)) {
      this.#effects.push({ kind: 'sent', collections: this.#covered(state.coverage) });
    }
  }

  /** Collections whose closing resource did not change are closed by what was answered before. */
  #settledWithoutResponse(typeUrl: string, coverage: Coverage): void {
    if (!this.#closesRound(typeUrl) || coverage.length === 0) return;
    const collections = this.#covered(coverage);
    this.#effects.push({ kind: 'sent', collections }, { kind: 'acked', collections });
  }
}

function changesNames({ resourceNamesSubscribe, resourceNamesUnsubscribe }: DeltaDiscoveryRequest): boolean {
  return resourceNamesSubscribe.length > 0 || resourceNamesUnsubscribe.length > 0;
}

/** A type of which nothing has been sent. */
const unsent: Omit<TypeState, 'subscription'> = { inFlight: undefined, parts: [], coverage: [], faults: [] };

function invalid(message: string): StreamEnd {
  return { code: statusCode.invalidArgument, message };
}

function exhausted(message: string): StreamEnd {
  return { code: statusCode.resourceExhausted, message };
}
