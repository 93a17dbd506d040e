import type { Collection, ResourceDelta, ResourceEntry } from './family.ts';

/** A collection before and after. Undefined: it did not exist, or exists no more. */
export interface CollectionChange {
  readonly from: Collection | undefined;
  readonly to: Collection | undefined;
}

/**
 * Changes of collections that a stream makes in one round. Streams that stand at the same place share one object, and
 * with it what follows from it: each delta is computed once, and its bytes are encoded once.
 */
export class ChangeSet {
  static readonly none = new ChangeSet(new Map());

  readonly changes: ReadonlyMap<string, CollectionChange>;
  /** Of the collections that change. */
  readonly ids: readonly string[];
  readonly #deltas = new Map<string, ResourceDelta>();
  readonly #parts = new Map<string, ChangeSet>();

  constructor(changes: ReadonlyMap<string, CollectionChange>) {
    this.changes = changes;
    this.ids = [...changes.keys()];
  }

  /** All changes of one type. The same object each time. */
  delta(typeUrl: string): ResourceDelta {
    let delta = this.#deltas.get(typeUrl);
    if (!delta) {
      delta = joined([...this.changes.values()].map((change) => deltaBetween(change, typeUrl)));
      this.#deltas.set(typeUrl, delta);
    }
    return delta;
  }

  /** The changes of some of these collections. The same object for the same ids. */
  only(ids: readonly string[]): ChangeSet {
    if (ids.length === this.changes.size) return this;
    const key = JSON.stringify(ids);
    let part = this.#parts.get(key);
    if (!part) {
      part = new ChangeSet(new Map([...this.changes].filter(([id]) => ids.includes(id))));
      this.#parts.set(key, part);
    }
    return part;
  }
}

/** Deltas that were computed, by where they lead and whence: states are immutable, and many streams go the same way. */
const known = new WeakMap<Collection, WeakMap<Collection, Map<string, ResourceDelta>>>();

/**
 * What a stream at `from` lacks and holds too much, for one type: only what really differs. The same object each time for
 * the same two states, whoever asks.
 */
export function deltaBetween(change: CollectionChange, typeUrl: string): ResourceDelta {
  const { from, to } = change;
  if (!from || !to) return difference(change, typeUrl);
  const byOrigin = known.get(to) ?? new WeakMap<Collection, Map<string, ResourceDelta>>();
  known.set(to, byOrigin);
  const byType = byOrigin.get(from) ?? new Map<string, ResourceDelta>();
  byOrigin.set(from, byType);
  const delta = byType.get(typeUrl) ?? difference(change, typeUrl);
  byType.set(typeUrl, delta);
  return delta;
}

function difference({ from, to }: CollectionChange, typeUrl: string): ResourceDelta {
  if (!from) return { updated: to ? [...to.all(typeUrl)] : [], removed: [] };
  if (!to) return { updated: [], removed: namesOf(from.all(typeUrl)) };
  const remembered = to.changedSince(typeUrl, from);
  const updated = remembered?.updated ?? [...to.all(typeUrl)];
  const removed = remembered?.removed ?? namesOf(from.all(typeUrl));
  return {
    updated: updated.filter((entry) => from.get(typeUrl, entry.name)?.version !== entry.version),
    removed: removed.filter((name) => from.get(typeUrl, name) && !to.get(typeUrl, name)),
  };
}

/** A name that one collection gave up and another took is not removed. */
function joined(deltas: readonly ResourceDelta[]): ResourceDelta {
  const [first] = deltas;
  if (first && deltas.length === 1) return first;
  const updated = deltas.flatMap((delta) => delta.updated);
  const removed = deltas.flatMap((delta) => delta.removed);
  if (removed.length === 0 || updated.length === 0) return { updated, removed };
  const present = new Set(namesOf(updated));
  return { updated, removed: removed.filter((name) => !present.has(name)) };
}

function namesOf(entries: Iterable<ResourceEntry>): string[] {
  return Array.from(entries, (entry) => entry.name);
}
