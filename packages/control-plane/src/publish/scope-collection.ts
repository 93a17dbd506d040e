import type { Collection, ResourceDelta, ResourceEntry } from '@signalbox/xds';

/** What a revision changes in one type. */
export interface TypeChange {
  readonly put: readonly ResourceEntry[];
  /** Names that are gone. */
  readonly deleted: readonly string[];
}

/** All resources of one type in one state. */
interface TypeState {
  readonly byName: ReadonlyMap<string, ResourceEntry>;
  /** Names in the order in which they were changed or deleted, with the revision that did it. */
  readonly log: readonly { readonly revision: bigint; readonly name: string }[];
  /** The log tells everything that happened after this revision. */
  readonly loggedSince: bigint;
}

const noEntries: ReadonlyMap<string, ResourceEntry> = new Map();

/**
 * One scope at one revision: immutable. The next revision is another object that shares the types it does not change.
 * Of the past it remembers a bounded number of changes a type, enough for streams that lag behind as streams do; for
 * older states it says so, and the two states are compared instead.
 */
export class ScopeCollection implements Collection {
  readonly id: string;
  readonly revision: bigint;
  readonly #types: ReadonlyMap<string, TypeState>;
  /** The same object for all states that followed from one beginning. */
  readonly #lineage: object;

  private constructor(id: string, revision: bigint, types: ReadonlyMap<string, TypeState>, lineage: object) {
    this.id = id;
    this.revision = revision;
    this.#types = types;
    this.#lineage = lineage;
  }

  /** A collection without a past. @param entries by type URL. */
  static initial(
    id: string,
    revision: bigint,
    entries: ReadonlyMap<string, readonly ResourceEntry[]>,
  ): ScopeCollection {
    const types = new Map<string, TypeState>();
    for (const [typeUrl, list] of entries) {
      const byName = new Map(list.map((entry) => [entry.name, entry]));
      types.set(typeUrl, { byName, log: [], loggedSince: revision });
    }
    return new ScopeCollection(id, revision, types, {});
  }

  /**
   * The state after a revision.
   * @param changes by type URL.
   * @param maxLogged changes remembered of each type.
   */
  next(revision: bigint, changes: ReadonlyMap<string, TypeChange>, maxLogged: number): ScopeCollection {
    const types = new Map(this.#types);
    for (const [typeUrl, change] of changes) {
      const before = types.get(typeUrl) ?? { byName: noEntries, log: [], loggedSince: this.revision };
      types.set(typeUrl, applyChange(before, change, { revision, maxLogged }));
    }
    return new ScopeCollection(this.id, revision, types, this.#lineage);
  }

  get(typeUrl: string, name: string): ResourceEntry | undefined {
    return this.#types.get(typeUrl)?.byName.get(name);
  }

  all(typeUrl: string): Iterable<ResourceEntry> {
    return (this.#types.get(typeUrl)?.byName ?? noEntries).values();
  }

  changedSince(typeUrl: string, earlier: Collection): ResourceDelta | undefined {
    if (!(earlier instanceof ScopeCollection) || earlier.#lineage !== this.#lineage) return undefined;
    const state = this.#types.get(typeUrl);
    if (!state) return { updated: [], removed: [] };
    if (earlier.revision < state.loggedSince || earlier.revision > this.revision) return undefined;
    const names = new Set<string>();
    for (let i = state.log.length - 1; i >= 0; i -= 1) {
      const change = state.log[i];
      if (!change || change.revision <= earlier.revision) break;
      names.add(change.name);
    }
    const updated: ResourceEntry[] = [];
    const removed: string[] = [];
    for (const name of names) {
      const entry = state.byName.get(name);
      if (entry) updated.push(entry);
      else removed.push(name);
    }
    return { updated, removed };
  }
}

function applyChange(
  before: TypeState,
  { put, deleted }: TypeChange,
  { revision, maxLogged }: { readonly revision: bigint; readonly maxLogged: number },
): TypeState {
  const byName = new Map(before.byName);
  for (const entry of put) byName.set(entry.name, entry);
  for (const name of deleted) byName.delete(name);
  const names = [...put.map((entry) => entry.name), ...deleted];
  const log = [...before.log, ...names.map((name) => ({ revision, name }))];
  const forgotten = log.length - maxLogged;
  if (forgotten <= 0) return { byName, log, loggedSince: before.loggedSince };
  return { byName, log: log.slice(forgotten), loggedSince: log[forgotten - 1]?.revision ?? revision };
}
