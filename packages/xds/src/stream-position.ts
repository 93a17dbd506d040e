import { ChangeSet, type CollectionChange } from './change-set.ts';
import type { Collection } from './family.ts';

/** The collections that a stream may see, each in the state to which the stream has been brought or is being brought. */
export interface StreamCollections {
  ids(): Iterable<string>;
  get(id: string): Collection | undefined;
}

/** Every collection at the newest state that the stream is to have. */
export type NewestCollections = Pick<ReadonlyMap<string, Collection>, 'get' | 'has' | 'keys'>;

/**
 * Where a stream stands: at the newest state of every collection, except those that have changed since its round began.
 * So a stream costs memory only for what it lags behind with, and changes made meanwhile fold into one.
 */
export class StreamPosition implements StreamCollections {
  readonly #newest: NewestCollections;
  readonly #visible: 'all' | ReadonlySet<string>;
  /** Where the stream stands in the collections that it lags behind with. */
  readonly #behind = new Map<string, Collection | undefined>();
  /** The one change set that it lags behind with; undefined if there are none or several. */
  #whole: ChangeSet | undefined;

  /**
   * @param newest every collection at its newest state, kept up to date by the owner, who calls `fallBehind` whenever
   *   it changes.
   * @param visible ids of the collections that the stream may see.
   */
  constructor(newest: NewestCollections, visible: 'all' | ReadonlySet<string>) {
    this.#newest = newest;
    this.#visible = visible;
  }

  *ids(): Iterable<string> {
    // A stream that sees a few collections does not look at all that there are.
    const visible = this.#visible;
    if (visible !== 'all') {
      for (const id of visible) if (this.get(id)) yield id;
      return;
    }
    for (const id of this.#newest.keys()) {
      if (this.get(id)) yield id;
    }
    for (const [id, state] of this.#behind) {
      if (state && !this.#newest.has(id)) yield id;
    }
  }

  get(id: string): Collection | undefined {
    if (this.#visible !== 'all' && !this.#visible.has(id)) return undefined;
    return this.#behind.has(id) ? this.#behind.get(id) : this.#newest.get(id);
  }

  /** Collections have changed: the stream now stands where they were before. */
  fallBehind(changes: ChangeSet): void {
    const visible = this.#visible;
    const seen =
      visible === 'all' ? changes : changes.only([...changes.changes.keys()].filter((id) => visible.has(id)));
    if (seen.changes.size === 0) return;
    this.#whole = this.#behind.size === 0 ? seen : undefined;
    for (const [id, { from }] of seen.changes) {
      if (!this.#behind.has(id)) this.#behind.set(id, from);
    }
  }

  get isBehind(): boolean {
    return this.#behind.size > 0;
  }

  /** Moves to the newest state of everything. @returns what this changes; one object for all streams that moved alike. */
  advance(): ChangeSet {
    const changes = this.#whole ?? this.#ownChanges();
    this.#behind.clear();
    this.#whole = undefined;
    return changes;
  }

  #ownChanges(): ChangeSet {
    const changes = new Map<string, CollectionChange>();
    for (const [id, from] of this.#behind) {
      const to = this.#newest.get(id);
      if (from !== to) changes.set(id, { from, to });
    }
    return new ChangeSet(changes);
  }
}
