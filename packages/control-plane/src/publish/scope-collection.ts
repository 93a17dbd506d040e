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

type Types = ReadonlyMap<string, TypeState> | (() => ReadonlyMap<string, TypeState>);

const noEntries: ReadonlyMap<string, ResourceEntry> = new Map();

/**
 * One scope at one revision: immutable. The next revision is another object that shares the types it does not change.
 * Of the past it remembers a bounded number of changes a type, enough for streams that lag behind as streams do; for
 * older states it says so, and the two states are compared instead.
 */
export class ScopeCollection implements Collection {
  readonly id: string;
  readonly revision: bigint;
  /** Made when somebody first looks: a replica that starts holds many scopes that nobody asks it for. */
  #types: Types;
  /** The same object for all states that followed from one beginning. */
  readonly #lineage: object;

  private constructor(id: string, revision: bigint, types: Types, lineage: object) {
    this.id = id;
    this.revision = revision;
    this.#types = types;
    this.#lineage = lineage;
  }

  /** A collection without a past. @param entries by type URL; asked for when somebody first looks. */
  static initial(
    id: string,
    revision: bigint,
    entries: () => ReadonlyMap<string, readonly ResourceEntry[]>,
  ): ScopeCollection {
    return new ScopeCollection(id, revision, () => typesOf(entries(), revision), {});
  }

  /**
   * The state after a revision.
   * @param changes by type URL.
   * @param maxLogged changes remembered of each type.
   */
  next(revision: bigint, changes: ReadonlyMap<string, TypeChange>, maxLogged: number): ScopeCollection {
    const types = new Map(this.#byType);
    for (const [typeUrl, change] of changes) {
      const before = types.get(typeUrl) ?? { byName: noEntries, log: [], loggedSince: this.revision };
      types.set(typeUrl, applyChange(before, change, { revision, maxLogged }));
    }
    return new ScopeCollection(this.id, revision, types, this.#lineage);
  }

  get #byType(): ReadonlyMap<string, TypeState> {
    if (typeof this.#types === 'function') this.#types = this.#types();
    return this.#types;
  }

  get(typeUrl: string, name: string): ResourceEntry | undefined {
    return this.#byType.get(typeUrl)?.byName.get(name);
  }

  all(typeUrl: string): Iterable<ResourceEntry> {
    return (this.#byType.get(typeUrl)?.byName ?? noEntries).values();
  }

  changedSince(typeUrl: string, earlier: Collection): ResourceDelta | undefined {
    if (!(earlier instanceof ScopeCollection) || earlier.#lineage !== this.#lineage) return undefined;
    const state = this.#byType.get(typeUrl);
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

function typesOf(
  entries: ReadonlyMap<string, readonly ResourceEntry[]>,
  revision: bigint,
): ReadonlyMap<string, TypeState> {
  const types = new Map<string, TypeState>();
  for (const [typeUrl, list] of entries) {
    const byName = new Map(list.map((entry) => [entry.name, entry]));
    types.set(typeUrl, { byName, log: [], loggedSince: revision });
  }
  return types;
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
