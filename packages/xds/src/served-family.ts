import type { AdsStream } from './ads-stream.ts';
import { ChangeSet } from './change-set.ts';
import type { CollectionSource, ResourceFamily } from './family.ts';
import { type SendOrder, sendOrderOf } from './send-order.ts';
import { type Move, NewestStates, SharedChanges } from './newest-states.ts';
import type { StreamInfo } from './stream-observer.ts';
import type { NewestCollections } from './stream-position.ts';

export interface ServedFamilyOptions {
  readonly family: ResourceFamily;
  readonly source: CollectionSource;
}

/**
 * One family on a server: its collections at their newest state, and who sees which. All its streams read the same
 * immutable collections. A change first moves the position of every stream that may see it back to where the stream
 * really is, at once; the other streams are not even looked at.
 */
export class ServedFamily {
  readonly family: ResourceFamily;
  readonly order: SendOrder;
  readonly #states = new NewestStates();
  readonly #source: CollectionSource;
  readonly #subscription: Disposable;
  readonly #onBehind: (streams: ReadonlySet<AdsStream>) => void;
  /** Authenticated streams that see everything. */
  readonly #seeingAll = new Set<AdsStream>();
  /** Authenticated streams that see a collection by name, by its id. */
  readonly #seeing = new Map<string, Set<AdsStream>>();

  /** @param onBehind told which streams have to be served, after all of them know that they are behind. */
  constructor({ family, source }: ServedFamilyOptions, onBehind: (streams: ReadonlySet<AdsStream>) => void) {
    this.family = family;
    this.order = sendOrderOf(family);
    this.#source = source;
    this.#onBehind = onBehind;
    for (const id of source.ids()) this.#read(id);
    this.#subscription = source.onChange((ids) => this.#onChange(ids));
  }

  get ready(): boolean {
    return this.#source.ready;
  }

  /** What a stream is to have of every collection, now and later. */
  newestFor(stream: StreamInfo): NewestCollections {
    return this.#states.of(stream);
  }

  enlist(stream: AdsStream): void {
    const visible = stream.info?.collections ?? new Set();
    if (visible === 'all') return void this.#seeingAll.add(stream);
    for (const id of visible) {
      const streams = this.#seeing.get(id) ?? new Set();
      this.#seeing.set(id, streams.add(stream));
    }
  }

  forget(stream: AdsStream): void {
    this.#seeingAll.delete(stream);
    const visible = stream.info?.collections ?? new Set();
    if (visible === 'all') return;
    for (const id of visible) {
      const streams = this.#seeing.get(id);
      streams?.delete(stream);
      if (streams?.size === 0) this.#seeing.delete(id);
    }
  }

  /** Follows its source no longer. */
  stop(): void {
    this.#subscription[Symbol.dispose]();
  }

  #onChange(ids: readonly string[]): void {
    const moves = new Map<string, Move>();
    for (const id of ids) {
      const move = this.#read(id);
      if (move) moves.set(id, move);
    }
    if (moves.size === 0) return;
    const concerned = new Set(this.#seeingAll);
    for (const id of moves.keys()) for (const stream of this.#seeing.get(id) ?? []) concerned.add(stream);
    const changes = new SharedChanges(moves);
    for (const stream of concerned) stream.fallBehind(stream.info ? changes.of(stream.info) : ChangeSet.none);
    this.#onBehind(concerned);
  }

  /** Reads a collection's newest states. @returns how it has moved, if it has. */
  #read(id: string): Move | undefined {
    return this.#states.set(id, this.#source.get(id), this.#source.staged?.(id));
  }
}
