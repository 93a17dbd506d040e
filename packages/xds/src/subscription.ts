/**
 * What a client asked for, of one type on one stream, and what is owed to it. Pure: every function returns a new value.
 *
 * 1. A first request without names is a wildcard (legacy); later, no names mean no change.
 * 2. What is subscribed is owed, even if the client is believed to have it. Versions that the client named in its first
 *    request are the exception: they are knowledge, never a subscription.
 * 3. A name that does not exist is answered as removed and stays subscribed.
 * 4. Unsubscribing under a wildcard is answered with the resource, since the wildcard still covers it.
 */
import { type ChangeSet, deltaBetween } from './change-set.ts';
import { renameEntry } from './encoded-response.ts';
import type { FamilyType, ResourceDelta, ResourceEntry } from './family.ts';
import type { DeltaRequest } from './held-versions.ts';
import { canonicalName, isOfType, parseStructuredName } from './resource-name.ts';
import type { StreamCollections } from './stream-position.ts';

export interface Subscription {
  readonly typeUrl: string;
  readonly wildcard: boolean;
  /** The client has named something on this stream: from then on, no names mean nothing. */
  readonly isExplicit: boolean;
  /** Globs as the client wrote them, by the collection that they cover. */
  readonly globs: ReadonlyMap<string, string>;
  /** Names as the client wrote them, by canonical name. */
  readonly names: ReadonlyMap<string, string>;
  readonly owed: Owed;
}

/** What the next response has to contain. */
export interface Owed {
  /** A response is due even if it has nothing in it. */
  readonly answer: boolean;
  /** Everything that the wildcard covers. */
  readonly wildcard: boolean;
  /** Everything in these collections; the globs by which they were asked for. */
  readonly globs: ReadonlyMap<string, string>;
  /** These names, whether they exist or not; as the client wrote them, by canonical name. */
  readonly names: ReadonlyMap<string, string>;
  /** Versions that the client said it holds. */
  readonly held: ReadonlyMap<string, string>;
  /** What has changed under the subscription. */
  readonly changes: ChangeSet | undefined;
}

/** One for all streams: most of them name nothing. */
const none: ReadonlyMap<string, string> = new Map();

export const nothing: Owed = {
  answer: false,
  wildcard: false,
  globs: none,
  names: none,
  held: none,
  changes: undefined,
};

/** The subscription that the first request of a type makes. */
export function firstSubscription(request: DeltaRequest): Subscription {
  const { typeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions } = request;
  const held = canonicalNames(request.heldVersions ?? new Map(Object.entries(initialResourceVersions)));
  const isExplicit = resourceNamesSubscribe.length > 0 || resourceNamesUnsubscribe.length > 0;
  const owed = { ...nothing, held };
  const empty = { typeUrl, isExplicit, wildcard: false, globs: none, names: none, owed };
  return isExplicit ? resubscribe(empty, request) : subscribeAll(empty);
}

/** Most names are canonical, and then the map is what it was. */
function canonicalNames(versions: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (versions.size === 0) return none;
  for (const name of versions.keys()) if (canonicalName(name) !== name) return renamedKeys(versions);
  return versions;
}

function renamedKeys(versions: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map(Array.from(versions, ([name, version]) => [canonicalName(name), version]));
}

/** Applies the names of a request: first what it subscribes, then what it unsubscribes. */
export function resubscribe(subscription: Subscription, request: DeltaRequest): Subscription {
  const subscribed = request.resourceNamesSubscribe.reduce(subscribe, subscription);
  return request.resourceNamesUnsubscribe.reduce(unsubscribe, subscribed);
}

function subscribe(subscription: Subscription, name: string): Subscription {
  if (name === '*') return subscribeAll(subscription);
  const { globs, names, owed } = subscription;
  const glob = collectionOfGlob(subscription.typeUrl, name);
  if (glob !== undefined) {
    const owedGlobs = new Map(owed.globs).set(glob, name);
    return {
      ...subscription,
      globs: new Map(globs).set(glob, name),
      owed: { ...owed, globs: owedGlobs, answer: true },
    };
  }
  const canonical = canonicalName(name);
  const owedNames = new Map(owed.names).set(canonical, name);
  return { ...subscription, names: new Map(names).set(canonical, name), owed: { ...owed, names: owedNames } };
}

export function subscribeAll(subscription: Subscription): Subscription {
  return { ...subscription, wildcard: true, owed: { ...subscription.owed, wildcard: true, answer: true } };
}

function unsubscribe(subscription: Subscription, name: string): Subscription {
  const { globs, names, owed, typeUrl } = subscription;
  if (name === '*') {
    return { ...subscription, wildcard: false, owed: { ...owed, wildcard: false, answer: owed.globs.size > 0 } };
  }
  const glob = collectionOfGlob(typeUrl, name);
  if (glob !== undefined) {
    const owedGlobs = without(owed.globs, glob);
    const answer = owed.wildcard || owedGlobs.size > 0;
    return { ...subscription, globs: without(globs, glob), owed: { ...owed, globs: owedGlobs, answer } };
  }
  const canonical = canonicalName(name);
  if (!names.has(canonical)) return subscription;
  const rest = { ...subscription, names: without(names, canonical) };
  const owedNames = isCovered(rest, canonical)
    ? new Map(owed.names).set(canonical, name)
    : without(owed.names, canonical);
  return { ...rest, owed: { ...owed, names: owedNames } };
}

function without(map: ReadonlyMap<string, string>, key: string): ReadonlyMap<string, string> {
  const rest = new Map(map);
  rest.delete(key);
  return rest;
}

/** Whether the wildcard or a glob covers a name. */
function isCovered({ wildcard, globs }: Subscription, canonical: string): boolean {
  const collection = parseStructuredName(canonical)?.collection;
  return wildcard || (collection !== undefined && globs.has(collection));
}

function collectionOfGlob(typeUrl: string, name: string): string | undefined {
  const parsed = parseStructuredName(name);
  return parsed?.isGlob && isOfType(parsed, typeUrl) ? parsed.collection : undefined;
}

/** How many names and globs are subscribed: what bounds the memory of a subscription. */
export function sizeOf(subscription: Subscription): number {
  return subscription.names.size + subscription.globs.size;
}

/** Whether changes may have something for the subscription. Exact for a plain wildcard, the usual case. */
export function isConcernedBy(subscription: Subscription, changes: ChangeSet): boolean {
  const { typeUrl, wildcard, globs, names } = subscription;
  if (names.size > 0) return true;
  if (!wildcard) return globs.size > 0;
  const { updated, removed } = changes.delta(typeUrl);
  return updated.length > 0 || removed.length > 0;
}

/** The collections move on under the subscription. */
export function oweChanges(subscription: Subscription, changes: ChangeSet): Subscription {
  const { wildcard, globs, names } = subscription;
  const follows = wildcard || globs.size > 0 || names.size > 0;
  return follows ? { ...subscription, owed: { ...subscription.owed, changes } } : subscription;
}

/** Everything subscribed is owed anew, whatever the client holds. */
export function oweEverything(subscription: Subscription): Subscription {
  const { wildcard, globs, names, owed } = subscription;
  const answer = owed.answer || wildcard || globs.size > 0;
  return { ...subscription, owed: { ...owed, answer, wildcard, globs, names, held: new Map() } };
}

export function owesNothing({ owed }: Subscription): boolean {
  const { answer, wildcard, globs, names, changes } = owed;
  return !answer && !wildcard && globs.size === 0 && names.size === 0 && changes === undefined;
}

/** Which collections a response brings up to date: all that the stream sees, or some. */
export type Coverage = 'all' | readonly string[];

/** What is owed, as it is at the stream's position. */
export interface Composed {
  readonly subscription: Subscription;
  readonly delta: ResourceDelta;
  /** Send the delta even if it is empty. */
  readonly answer: boolean;
  readonly coverage: Coverage;
  /** It must not be split: what it does not have is deleted. */
  readonly isWhole: boolean;
  /** What is left for the end of the round. */
  readonly late: LateRemovals | undefined;
}

/** What goes at the end of a round: by name, or by not being retained any longer. */
export interface LateRemovals {
  readonly removed: readonly string[];
  readonly retained: readonly ResourceEntry[];
}

/** Pays what is owed. A plain wildcard that follows changes gets the same delta object as every other such stream. */
export function compose(
  subscription: Subscription,
  collections: StreamCollections,
  type: FamilyType | undefined,
): Composed {
  const { owed, typeUrl } = subscription;
  const isPlain = !owed.wildcard && owed.globs.size === 0 && owed.names.size === 0;
  const followsAll = subscription.wildcard && subscription.names.size === 0;
  const delta =
    isPlain && followsAll && owed.changes
      ? owed.changes.delta(typeUrl)
      : sharedIfNothing(new Composition(subscription, collections).run(), owed, type);
  const late = type?.removesLate ? removedByChange(subscription, delta) : noNames;
  return {
    subscription: paid(subscription, type),
    delta: late.size === 0 ? delta : { ...delta, removed: delta.removed.filter((name) => !late.has(name)) },
    answer: owed.answer,
    coverage: coverageOf(subscription),
    isWhole: false,
    late: late.size === 0 ? undefined : { removed: [...late], retained: [] },
  };
}

const noNames: ReadonlySet<string> = new Set();

/** What a client gets that holds all of a type already: one for all streams, so that a fleet that comes back gets one response. */
const nothingNew = new WeakMap<FamilyType, ResourceDelta>();

/** A stream says what it holds only once for each type, and so gets this once: its nonce is still unique there. */
function sharedIfNothing(delta: ResourceDelta, { held }: Owed, type: FamilyType | undefined): ResourceDelta {
  if (!type || held.size === 0 || delta.updated.length > 0 || delta.removed.length > 0) return delta;
  const known = nothingNew.get(type) ?? delta;
  nothingNew.set(type, known);
  return known;
}

/** Wildcards that owe nothing, by the type that is served: one for all streams, which have one of each type. */
const settledWildcards = new WeakMap<FamilyType, Subscription>();

/** A subscription that owes nothing any more. */
function paid(subscription: Subscription, type: FamilyType | undefined): Subscription {
  const { wildcard, isExplicit, globs, names } = subscription;
  const settled = { ...subscription, owed: nothing };
  if (!type || !wildcard || isExplicit || globs.size > 0 || names.size > 0) return settled;
  const known = settledWildcards.get(type) ?? settled;
  settledWildcards.set(type, known);
  return known;
}

/** What the client did not just ask for, and so learns about because it went. */
function removedByChange({ owed }: Subscription, { removed }: ResourceDelta): ReadonlySet<string> {
  if (!owed.changes) return noNames;
  const asked = new Set([...owed.names.values(), ...owed.globs.values()]);
  return new Set(removed.filter((name) => !asked.has(name)));
}

export function coverageOf({ wildcard, globs, owed }: Subscription): Coverage {
  if (owed.wildcard) return 'all';
  if (wildcard && owed.changes && owed.globs.size === 0 && owed.names.size === 0) return owed.changes.ids;
  const changed = [...(owed.changes?.changes.keys() ?? [])].filter((id) => wildcard || globs.has(id));
  const named = [...owed.names.keys()].flatMap((name) => parseStructuredName(name)?.collection ?? []);
  return [...new Set([...owed.globs.keys(), ...changed, ...named])];
}

/** One response in the making: no name twice, and none both updated and removed. */
class Composition {
  readonly #subscription: Subscription;
  readonly #collections: StreamCollections;
  readonly #updated = new Map<string, ResourceEntry>();
  readonly #removed = new Set<string>();
  /** Names under the wildcard that the client holds. */
  #heldAndThere = 0;

  constructor(subscription: Subscription, collections: StreamCollections) {
    this.#subscription = subscription;
    this.#collections = collections;
  }

  run(): ResourceDelta {
    const { owed } = this.#subscription;
    if (owed.changes) this.#addChanges(owed.changes);
    if (owed.wildcard) this.#addAll(this.#collections.ids());
    // A name is in one collection: when all that the client holds was met under the wildcard, nothing is gone.
    const isAllThere = this.#heldAndThere === owed.held.size;
    for (const [collection, glob] of owed.globs) this.#addGlob(collection, glob);
    if (!isAllThere) this.#addVanished();
    for (const [canonical, name] of owed.names) this.#addNamed(canonical, name);
    const updated = [...this.#updated.values()];
    return { updated, removed: [...this.#removed].filter((name) => !this.#updated.has(name)) };
  }

  #addChanges(changes: ChangeSet): void {
    const { typeUrl, wildcard, globs, names } = this.#subscription;
    for (const [id, change] of changes.changes) {
      const covered = wildcard || globs.has(id);
      if (!covered && names.size === 0) continue;
      const delta = deltaBetween(change, typeUrl);
      for (const entry of delta.updated) {
        const name = names.get(entry.name);
        if (covered || name !== undefined) this.#update(renameEntry(entry, name ?? entry.name));
      }
      for (const canonical of delta.removed) {
        const name = names.get(canonical);
        if (covered || name !== undefined) this.#removed.add(name ?? canonical);
      }
    }
  }

  #addAll(ids: Iterable<string>): void {
    const { typeUrl, owed } = this.#subscription;
    for (const id of ids) {
      for (const entry of this.#collections.get(id)?.all(typeUrl) ?? []) {
        const version = owed.held.get(entry.name);
        if (version !== undefined) this.#heldAndThere += 1;
        if (version !== entry.version) this.#update(entry);
      }
    }
  }

  #addGlob(collection: string, glob: string): void {
    const entries = this.#collections.get(collection)?.all(this.#subscription.typeUrl) ?? [];
    if ([...entries].length === 0) this.#removed.add(glob);
    else this.#addAll([collection]);
  }

  /** What the client holds under the wildcard or a glob, and what does not exist. */
  #addVanished(): void {
    const { owed } = this.#subscription;
    for (const canonical of owed.held.keys()) {
      const collection = parseStructuredName(canonical)?.collection ?? '';
      const asked = owed.wildcard || owed.globs.has(collection);
      if (asked && !this.#find(canonical)) this.#removed.add(canonical);
    }
  }

  #addNamed(canonical: string, name: string): void {
    const entry = this.#find(canonical);
    if (!entry) this.#removed.add(name);
    else if (this.#subscription.owed.held.get(canonical) !== entry.version) this.#update(renameEntry(entry, name));
  }

  #update(entry: ResourceEntry): void {
    this.#updated.set(entry.name, entry);
  }

  #find(canonical: string): ResourceEntry | undefined {
    return findEntry(this.#collections, this.#subscription.typeUrl, canonical)?.entry;
  }
}

/** A resource by its name, and the collection that has it. */
export function findEntry(
  collections: StreamCollections,
  typeUrl: string,
  canonical: string,
): { readonly entry: ResourceEntry; readonly collection: string } | undefined {
  const parsed = parseStructuredName(canonical);
  for (const collection of parsed ? [parsed.collection] : collections.ids()) {
    const entry = collections.get(collection)?.get(typeUrl, canonical);
    if (entry) return { entry, collection };
  }
  return undefined;
}

/** Everything that exists and is subscribed, under the name by which it was asked for. */
export function subscribedEntries(
  subscription: Subscription,
  collections: StreamCollections,
): readonly ResourceEntry[] {
  const { typeUrl, wildcard, globs, names } = subscription;
  const entries = new Map<string, ResourceEntry>();
  for (const id of wildcard ? collections.ids() : globs.keys()) {
    for (const entry of collections.get(id)?.all(typeUrl) ?? []) entries.set(entry.name, entry);
  }
  for (const [canonical, name] of names) {
    const entry = findEntry(collections, typeUrl, canonical)?.entry;
    if (entry) entries.set(canonical, renameEntry(entry, name));
  }
  return [...entries.values()];
}
