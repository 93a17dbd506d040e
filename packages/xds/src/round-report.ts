import type { ChangeSet } from './change-set.ts';
import type { Collection } from './family.ts';
import type { SessionEffect } from './server-session.ts';
import type { CollectionRevision, Refusal } from './stream-observer.ts';
import type { StreamCollections } from './stream-position.ts';

/**
 * What a round has to say about itself when it is over, in a family in which no type closes rounds. Immutable.
 */
export class RoundReport {
  static readonly none = new RoundReport([], undefined, false);

  /** What the round brings a stream to; `all`: everything that it sees. */
  readonly #revisions: 'all' | readonly CollectionRevision[];
  readonly #refusal: Refusal | undefined;
  readonly #isSent: boolean;

  private constructor(revisions: 'all' | readonly CollectionRevision[], refusal: Refusal | undefined, isSent: boolean) {
    this.#revisions = revisions;
    this.#refusal = refusal;
    this.#isSent = isSent;
  }

  /** A type was subscribed. */
  withEverything(): RoundReport {
    return new RoundReport('all', this.#refusal, false);
  }

  /** The stream moves on. */
  withChanges(changes: ChangeSet): RoundReport {
    if (this.#revisions === 'all') return this.withEverything();
    const moved = [...changes.changes].flatMap(([id, { from, to }]) => movedRevisions(id, from, to));
    return new RoundReport([...this.#revisions, ...moved], this.#refusal, false);
  }

  /** A response was refused, and with it the round. */
  withRefusal(refusal: Refusal): RoundReport {
    const faults = [...(this.#refusal?.faults ?? []), ...refusal.faults];
    return new RoundReport(this.#revisions, { ...refusal, faults }, this.#isSent);
  }

  /** Everything has been sent. @param isAnswered and answered. @returns what to tell, and what remains to be told. */
  reported(
    isAnswered: boolean,
    collections: StreamCollections,
  ): { readonly report: RoundReport; readonly effects: readonly SessionEffect[] } {
    if (this.#revisions.length === 0) return { report: isAnswered ? RoundReport.none : this, effects: [] };
    const revisions = this.#revisions === 'all' ? allRevisions(collections) : this.#revisions;
    const sent: readonly SessionEffect[] = this.#isSent ? [] : [{ kind: 'sent', collections: revisions }];
    if (!isAnswered) return { report: new RoundReport(this.#revisions, this.#refusal, true), effects: sent };
    const answer: SessionEffect = this.#refusal
      ? { kind: 'nacked', refusal: { ...this.#refusal, closesRound: true, collections: revisions } }
      : { kind: 'acked', collections: revisions };
    return { report: RoundReport.none, effects: [...sent, answer] };
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
