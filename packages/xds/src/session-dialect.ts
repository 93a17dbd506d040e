import type { FamilyType, ResourceDelta } from './family.ts';
import type { DeltaRequest } from './held-versions.ts';
import { composeState, firstStateSubscription, renamed, wholeState } from './state-subscription.ts';
import type { StreamCollections } from './stream-position.ts';
import type { StreamRequest } from './stream-request.ts';
import {
  compose,
  type Composed,
  firstSubscription,
  type LateRemovals,
  resubscribe,
  type Subscription,
} from './subscription.ts';

/** How the two variants of the protocol differ: what a request subscribes to, and what a response is made of. */
export interface SessionDialect {
  /** Whether a request answers an older response than the last one, and therefore counts for nothing at all. */
  ignores(request: StreamRequest, lastNonce: string): boolean;
  /** Responses say what changed, and an answer asks for nothing by itself. */
  readonly sendsChanges: boolean;
  /** Whether leases of a type can be renewed by a response that holds nothing else. */
  renews(type: FamilyType | undefined): boolean;
  subscribe(before: Subscription | undefined, request: StreamRequest, type: FamilyType | undefined): Subscription;
  compose(subscription: Subscription, collections: StreamCollections, type: FamilyType | undefined): Composed;
  /** The response at the end of a round that takes away what has waited for it. */
  composeLate(subscription: Subscription, collections: StreamCollections, late: LateRemovals): LateResponse;
}

interface LateResponse {
  readonly delta: ResourceDelta;
  readonly isWhole: boolean;
}

/** Requests change a subscription, whatever their nonce; responses say what changed. */
const deltaDialect: SessionDialect = {
  sendsChanges: true,
  ignores: () => false,
  renews: () => true,
  subscribe(before, request) {
    if (!isDelta(request)) throw new Error('a request of the other variant arrived on a delta stream');
    return before ? resubscribe(before, request) : firstSubscription(request);
  },
  compose,
  composeLate: (_subscription, _collections, { removed }) => ({ delta: { updated: [], removed }, isWhole: false }),
};

/** Requests say all that is subscribed, if they are not stale; responses say how things are. */
const stateDialect: SessionDialect = {
  sendsChanges: false,
  ignores: (request, lastNonce) => request.responseNonce !== lastNonce,
  // Where absence deletes, a response that renews some would delete all others.
  renews: (type) => type?.deletesByAbsence !== true,
  subscribe(before, request, type) {
    if (isDelta(request)) throw new Error('a delta request arrived on a stream of the other variant');
    return before ? renamed(before, request, type) : firstStateSubscription(request, type);
  },
  compose: composeState,
  composeLate: (subscription, collections) => ({ delta: wholeState(subscription, collections, []), isWhole: true }),
};

export const dialects = { delta: deltaDialect, state: stateDialect } as const;

function isDelta(request: StreamRequest): request is DeltaRequest {
  return request.$typeName === 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
}
