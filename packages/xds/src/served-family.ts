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

const noIds: ReadonlySet<string> = new Set();

/**
 * One family on a server: its collections at their newest state, and who follows which. All its streams read the same
 * immutable collections. A change first moves the position of every stream that follows it back to where the stream
 * really is, at once; the other streams are not even looked at.
 */
export class ServedFamily {
  readonly family: ResourceFamily;
  readonly order: SendOrder;
  readonly #states = new NewestStates();
  readonly #source: CollectionSource;
  readonly #subscription: Disposable;
  readonly #onBehind: (streams: ReadonlySet<AdsStream>) => void;
  /** What authenticated streams follow. */
  readonly #followed = new Map<AdsStream, 'all' | ReadonlySet<string>>();
  readonly #followingAll = new Set<AdsStream>();
  /** Streams that follow a collection and not all of them, by its id. */
  readonly #following = new Map<string, Set<AdsStream>>();

  /** @param onBehind told which streams have to be served, after all of them know that they are behind. */
  constructor({ family, source }: ServedFamilyOptions, onBehind: (streams: ReadonlySet<AdsStream>) => void) {
    this.family = family;
    this.order = sendOrderOf(family);
    this.#source = source;
    this.#onBehind = onBehind;
    // First: a source may begin to keep itself up to date when somebody listens.
    this.#subscription = source.onChange((ids) => this.#onChange(ids));
    for (const id of source.ids()) this.#read(id);
  }

  get ready(): boolean {
    return this.#source.ready;
  }

  /** What a stream is to have of every collection, now and later. */
  newestFor(stream: StreamInfo): NewestCollections {
    return this.#states.of(stream);
  }

  /** From now on a stream is told of changes of these collections, and of no others. */
  follow(stream: AdsStream, ids: 'all' | ReadonlySet<string>): void {
    const before = this.#followed.get(stream) ?? noIds;
    if (ids === 'all') {
      this.#followingAll.add(stream);
    } else {
      this.#followingAll.delete(stream);
      for (const id of ids) if (before === 'all' || !before.has(id)) this.#index(id, stream);
    }
    if (before !== 'all') for (const id of before) if (ids === 'all' || !ids.has(id)) this.#unindex(id, stream);
    this.#followed.set(stream, ids);
  }

  forget(stream: AdsStream): void {
    this.follow(stream, noIds);
    this.#followed.delete(stream);
  }

  /** Follows its source no longer. */
  stop(): void {
    this.#subscription[Symbol.dispose]();
  }

  #index(id: string, stream: AdsStream): void {
    this.#following.set(id, (this.#following.get(id) ?? new Set()).add(stream));
  }

  #unindex(id: string, stream: AdsStream): void {
    const streams = this.#following.get(id);
    if (streams?.delete(stream) && streams.size === 0) this.#following.delete(id);
  }

  #onChange(ids: readonly string[]): void {
    const moves = new Map<string, Move>();
    for (const id of ids) {
      const move = this.#read(id);
      if (move) moves.set(id, move);
    }
    if (moves.size === 0) return;
    const concerned = new Set(this.#followingAll);
    for (const id of moves.keys()) for (const stream of this.#following.get(id) ?? []) concerned.add(stream);
    const changes = new SharedChanges(moves);
    for (const stream of concerned) stream.fallBehind(stream.info ? changes.of(stream.info) : ChangeSet.none);
    this.#onBehind(concerned);
  }

  /** Reads a collection's newest states. @returns how it has moved, if it has. */
  #read(id: string): Move | undefined {
    return this.#states.set(id, this.#source.get(id), this.#source.staged?.(id));
  }
}
