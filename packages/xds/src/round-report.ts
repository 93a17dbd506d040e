import type { ChangeSet } from './change-set.ts';
import type { Collection } from './family.ts';
import type { SessionEffect } from './server-session.ts';
import type { CollectionRevision, Refusal } from './stream-observer.ts';
import type { StreamCollections } from './stream-position.ts';

/** A type of which resources were refused, and what they are. */
interface StandingRefusal {
  readonly refusal: Refusal;
  readonly names: ReadonlySet<string>;
}

/**
 * What a round has to say about itself when it is over, in a family in which no type closes rounds. A resource that was
 * refused stays so until a response with it, or its removal, is acknowledged: until then no round is. Immutable.
 */
export class RoundReport {
  static readonly none = new RoundReport([], new Map(), false);

  /** What the round brings a stream to; `all`: everything that it sees. */
  readonly #revisions: 'all' | readonly CollectionRevision[];
  /** By type. */
  readonly #refusals: ReadonlyMap<string, StandingRefusal>;
  readonly #isSent: boolean;

  private constructor(
    revisions: 'all' | readonly CollectionRevision[],
    refusals: ReadonlyMap<string, StandingRefusal>,
    isSent: boolean,
  ) {
    this.#revisions = revisions;
    this.#refusals = refusals;
    this.#isSent = isSent;
  }

  /** A type was subscribed. */
  withEverything(): RoundReport {
    return new RoundReport('all', this.#refusals, false);
  }

  /** The stream moves on. */
  withChanges(changes: ChangeSet): RoundReport {
    if (this.#revisions === 'all') return this.withEverything();
    const moved = [...changes.changes].flatMap(([id, { from, to }]) => movedRevisions(id, from, to));
    return new RoundReport([...this.#revisions, ...moved], this.#refusals, false);
  }

  /** A response was refused, and with it the round. @param sent names of the resources that it had. */
  withRefusal(refusal: Refusal, sent: readonly string[]): RoundReport {
    const { typeUrl } = refusal;
    const before = this.#refusals.get(typeUrl);
    const named = refusal.faults.map(({ name }) => name);
    const isNew = new Set(named.every((name) => sent.includes(name)) ? named : sent);
    const earlier = before?.refusal.faults.filter(({ name }) => !isNew.has(name) && name !== '') ?? [];
    const standing = {
      refusal: { ...refusal, faults: [...earlier, ...refusal.faults] },
      names: new Set([...(before?.names ?? []), ...isNew]),
    };
    return new RoundReport(this.#revisions, new Map(this.#refusals).set(typeUrl, standing), this.#isSent);
  }

  /** A response was acknowledged. @param stands whether a resource is as it was before that response, and exists. */
  withAcknowledgement(typeUrl: string, stands: (name: string) => boolean): RoundReport {
    const before = this.#refusals.get(typeUrl);
    if (!before) return this;
    const names = new Set([...before.names].filter(stands));
    const refusals = new Map(this.#refusals);
    if (names.size === 0) refusals.delete(typeUrl);
    else refusals.set(typeUrl, { ...before, names });
    return new RoundReport(this.#revisions, refusals, this.#isSent);
  }

  /** Everything has been sent. @param isAnswered and answered. @returns what to tell, and what remains to be told. */
  reported(
    isAnswered: boolean,
    collections: StreamCollections,
  ): { readonly report: RoundReport; readonly effects: readonly SessionEffect[] } {
    const rest = new RoundReport([], this.#refusals, false);
    if (this.#revisions.length === 0) return { report: isAnswered ? rest : this, effects: [] };
    const revisions = this.#revisions === 'all' ? allRevisions(collections) : this.#revisions;
    const sent: readonly SessionEffect[] = this.#isSent ? [] : [{ kind: 'sent', collections: revisions }];
    if (!isAnswered) return { report: new RoundReport(this.#revisions, this.#refusals, true), effects: sent };
    const standing = Array.from(this.#refusals.values(), ({ refusal }) => refusal);
    const newest = standing.at(-1);
    const faults = standing.flatMap((refusal) => refusal.faults);
    const answer: SessionEffect = newest
      ? { kind: 'nacked', refusal: { ...newest, faults, closesRound: true, collections: revisions } }
      : { kind: 'acked', collections: revisions };
    return { report: rest, effects: [...sent, answer] };
  }
}

/** What a stream runs that has a collection. */
export function revisionsOf(id: string, collection: Collection | undefined): readonly CollectionRevision[] {
  if (!collection?.covers) return [{ id, revision: collection?.revision }];
  return Array.from(collection.covers, ([source, revision]) => ({ id: source, revision }));
}

function allRevisions(collections: StreamCollections): readonly CollectionRevision[] {
  return [...collections.ids()].flatMap((id) => revisionsOf(id, collections.get(id)));
}

/** What a move changes of what a stream runs. */
function movedRevisions(
  id: string,
  from: Collection | undefined,
  to: Collection | undefined,
): readonly CollectionRevision[] {
  const before = new Map(from ? revisionsOf(id, from).map((each) => [each.id, each.revision]) : []);
  const after = new Map(to ? revisionsOf(id, to).map((each) => [each.id, each.revision]) : []);
  const moved = [...after].filter(([source, revision]) => before.get(source) !== revision);
  const gone = [...before.keys()].filter((source) => !after.has(source));
  return [
    ...moved.map(([source, revision]) => ({ id: source, revision })),
    ...gone.map((source) => ({ id: source, revision: undefined })),
  ];
}
