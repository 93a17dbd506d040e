import { ChangeSet, type CollectionChange } from './change-set.ts';
import type { Collection, StagedCollection } from './family.ts';
import type { StreamInfo } from './stream-observer.ts';
import type { NewestCollections } from './stream-position.ts';

/** What streams are to have of one collection: all the same, or each its own. */
interface NewestState {
  readonly common: Collection | undefined;
  readonly staged: StagedCollection | undefined;
}

/** From what to what a collection goes. */
export interface Move {
  readonly from: NewestState;
  readonly to: NewestState;
}

/** Collections at their newest, by id. Those that streams have in different states are the exception. */
export class NewestStates {
  readonly #common = new Map<string, Collection>();
  readonly #staged = new Map<string, StagedCollection>();

  /** @returns how the collection has moved by this; undefined if it has not. */
  set(id: string, common: Collection | undefined, staged: StagedCollection | undefined): Move | undefined {
    const from = { common: this.#common.get(id), staged: this.#staged.get(id) };
    if (from.common === common && from.staged === staged) return undefined;
    if (common) this.#common.set(id, common);
    else this.#common.delete(id);
    if (staged) this.#staged.set(id, staged);
    else this.#staged.delete(id);
    return { from, to: { common, staged } };
  }

  /** As one stream is to have them, now and whenever it is asked. */
  of(stream: StreamInfo): NewestCollections {
    const get = (id: string) => {
      const staged = this.#staged.size === 0 ? undefined : this.#staged.get(id);
      return staged ? staged.stateFor(stream) : this.#common.get(id);
    };
    return { get, has: (id) => get(id) !== undefined, keys: () => this.#common.keys() };
  }
}

/** The change sets that follow from some moves: one for all streams that make the same. */
export class SharedChanges {
  readonly #moves: ReadonlyMap<string, Move>;
  readonly #common: ChangeSet | undefined;
  readonly #byStates = new Map<string, ChangeSet>();
  readonly #numbers = new Map<Collection | undefined, number>();

  constructor(moves: ReadonlyMap<string, Move>) {
    this.#moves = moves;
    const isCommon = [...moves.values()].every(({ from, to }) => !from.staged && !to.staged);
    this.#common = isCommon ? this.#changes((state) => state.common) : undefined;
  }

  of(stream: StreamInfo): ChangeSet {
    if (this.#common) return this.#common;
    const stateOf = ({ common, staged }: NewestState) => (staged ? staged.stateFor(stream) : common);
    const states = [...this.#moves.values()].flatMap(({ from, to }) => [stateOf(from), stateOf(to)]);
    const key = states.map((state) => this.#numberOf(state)).join();
    let changes = this.#byStates.get(key);
    if (!changes) {
      changes = this.#changes(stateOf);
      this.#byStates.set(key, changes);
    }
    return changes;
  }

  #changes(stateOf: (state: NewestState) => Collection | undefined): ChangeSet {
    const changes = new Map<string, CollectionChange>();
    for (const [id, move] of this.#moves) {
      const from = stateOf(move.from);
      const to = stateOf(move.to);
      if (from !== to) changes.set(id, { from, to });
    }
    return new ChangeSet(changes);
  }

  #numberOf(state: Collection | undefined): number {
    const number = this.#numbers.get(state) ?? this.#numbers.size;
    this.#numbers.set(state, number);
    return number;
  }
}
