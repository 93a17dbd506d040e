/**
 * The state-of-the-world variant of a subscription: each request lists all names, each response says how things are.
 *
 * 1. Without names the first request of a type is a wildcard if the type deletes by absence; later, no names mean
 *    nothing, unless the client has never named anything.
 * 2. A type that deletes by absence is answered with everything that is subscribed, one that does not with what changed
 *    or was newly named.
 * 3. The first request of a type is answered even if there is nothing: clients wait for it.
 */
import type { DiscoveryRequest } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { type CollectionChange, deltaBetween } from './change-set.ts';
import type { FamilyType, ResourceDelta, ResourceEntry } from './family.ts';
import { canonicalName } from './resource-name.ts';
import type { StreamCollections } from './stream-position.ts';
import {
  type Composed,
  coverageOf,
  findEntry,
  type LateRemovals,
  nothing,
  subscribeAll,
  subscribedEntries,
  type Subscription,
} from './subscription.ts';

/** The subscription that the first request of a type makes. */
export function firstStateSubscription(request: DiscoveryRequest, type: FamilyType | undefined): Subscription {
  const { typeUrl, resourceNames } = request;
  const owed = { ...nothing, answer: true };
  const empty = { typeUrl, isExplicit: false, wildcard: false, globs: new Map(), names: new Map(), owed };
  if (resourceNames.length === 0 && type?.deletesByAbsence) return subscribeAll(empty);
  return renamed(empty, request, type);
}

/** The subscription that a later request makes. The same object if it changes nothing. */
export function renamed(
  before: Subscription,
  { resourceNames }: DiscoveryRequest,
  type: FamilyType | undefined,
): Subscription {
  if (resourceNames.length === 0 && !before.isExplicit) return before;
  const wildcard = resourceNames.includes('*');
  const plain = resourceNames.filter((name) => name !== '*');
  const names = new Map(plain.map((name) => [canonicalName(name), name]));
  const added = new Map([...names].filter(([canonical]) => !before.names.has(canonical)));
  const newWildcard = wildcard && !before.wildcard;
  const isSame = added.size === 0 && names.size === before.names.size && wildcard === before.wildcard;
  if (isSame && before.isExplicit) return before;
  const owedNames = [...before.owed.names, ...added].filter(([canonical]) => names.has(canonical));
  const answer = before.owed.answer || newWildcard || (added.size > 0 && type?.deletesByAbsence === true);
  const owed = {
    ...before.owed,
    answer,
    wildcard: newWildcard || (wildcard && before.owed.wildcard),
    names: new Map(owedNames),
  };
  return { ...before, isExplicit: true, wildcard, names, owed };
}

/** Pays what is owed of a type. */
export function composeState(
  subscription: Subscription,
  collections: StreamCollections,
  type: FamilyType | undefined,
): Composed {
  const settled = { subscription: { ...subscription, owed: nothing }, coverage: coverageOf(subscription) };
  if (!type?.deletesByAbsence) {
    const updated = changedOrNamed(subscription, collections);
    return {
      ...settled,
      delta: { updated, removed: [] },
      answer: subscription.owed.answer,
      isWhole: false,
      late: undefined,
    };
  }
  const gone = removedEntries(subscription);
  const isDue = subscription.owed.answer || gone.length > 0 || changedOrNamed(subscription, collections).length > 0;
  const retained = type.removesLate ? gone : [];
  const late: LateRemovals | undefined = retained.length > 0 ? { removed: [], retained } : undefined;
  const delta = isDue ? wholeState(subscription, collections, retained) : { updated: [], removed: [] };
  return { ...settled, delta, answer: isDue, isWhole: true, late };
}

/** Everything that is subscribed, and what is kept for the time being. */
export function wholeState(
  subscription: Subscription,
  collections: StreamCollections,
  retained: readonly ResourceEntry[],
): ResourceDelta {
  const present = subscribedEntries(subscription, collections);
  const names = new Set(present.map(({ name }) => name));
  return { updated: [...present, ...retained.filter(({ name }) => !names.has(name))], removed: [] };
}

function changedOrNamed(subscription: Subscription, collections: StreamCollections): readonly ResourceEntry[] {
  const { typeUrl, owed } = subscription;
  const entries = new Map<string, ResourceEntry>();
  if (owed.wildcard) for (const entry of subscribedEntries(subscription, collections)) entries.set(entry.name, entry);
  for (const change of changesOf(subscription)) {
    for (const entry of deltaBetween(change, typeUrl).updated) {
      if (covers(subscription, entry.name)) entries.set(entry.name, entry);
    }
  }
  for (const canonical of owed.names.keys()) {
    const found = findEntry(collections, typeUrl, canonical);
    if (found) entries.set(canonical, found.entry);
  }
  return [...entries.values()];
}

/** What is subscribed and went with the changes, as it was. */
function removedEntries(subscription: Subscription): readonly ResourceEntry[] {
  const { typeUrl } = subscription;
  return changesOf(subscription).flatMap((change) =>
    deltaBetween(change, typeUrl).removed.flatMap((name) => {
      const entry = covers(subscription, name) ? change.from?.get(typeUrl, name) : undefined;
      return entry ?? [];
    }),
  );
}

function changesOf({ owed }: Subscription): readonly CollectionChange[] {
  return [...(owed.changes?.changes.values() ?? [])];
}

function covers({ wildcard, names }: Subscription, name: string): boolean {
  return wildcard || names.has(canonicalName(name));
}
