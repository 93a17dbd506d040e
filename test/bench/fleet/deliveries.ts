/** A commit that was made while the fleet listened. Times are of the machine's monotonic clock, in milliseconds. */
export interface Commit {
  readonly scope: string;
  readonly revision: number;
  /** When the request for it was sent, and when it was answered. */
  readonly startedMs: number;
  readonly answeredMs: number;
}

/** A node has read the Manifest of a revision. */
export interface ManifestArrival {
  readonly node: number;
  readonly scope: string;
  readonly revision: number;
  readonly atMs: number;
}

/** How the fleet heard of commits. */
export interface Deliveries {
  readonly count: number;
  /** Nodes that see a scope and never had a commit of it, nor a later one. */
  readonly lost: number;
  /** From request to node, and from answer to node; sorted. */
  readonly sinceRequestMs: readonly number[];
  readonly sinceAnswerMs: readonly number[];
}

interface ListeningNode {
  readonly index: number;
  /** Newest revisions of the scopes that it sees. */
  readonly revisions: ReadonlyMap<string, number>;
}

/** What became of commits. @param arrivals in the order of their times. */
export function deliveriesOf(
  commits: readonly Commit[],
  nodes: readonly ListeningNode[],
  arrivals: readonly ManifestArrival[],
): Deliveries {
  const committed = Map.groupBy(commits, ({ scope }) => scope);
  const arrived = Map.groupBy(arrivals, ({ node }) => node);
  const sinceRequestMs: number[] = [];
  const sinceAnswerMs: number[] = [];
  let lost = 0;
  for (const { index, revisions } of nodes) {
    const ofNode = Map.groupBy(arrived.get(index) ?? [], ({ scope }) => scope);
    for (const scope of revisions.keys()) {
      const list = (committed.get(scope) ?? []).toSorted((a, b) => a.revision - b.revision);
      const seen = ofNode.get(scope) ?? [];
      let at = 0;
      for (const { revision, startedMs, answeredMs } of list) {
        // A later revision that comes first brings what the earlier ones would have.
        while (at < seen.length && (seen[at]?.revision ?? 0) < revision) at += 1;
        const arrival = seen[at];
        if (!arrival) lost += 1;
        else {
          sinceRequestMs.push(arrival.atMs - startedMs);
          sinceAnswerMs.push(arrival.atMs - answeredMs);
        }
      }
    }
  }
  const ordered = (values: number[]) => values.sort((a, b) => a - b);
  return {
    ...{ count: sinceRequestMs.length, lost },
    ...{ sinceRequestMs: ordered(sinceRequestMs), sinceAnswerMs: ordered(sinceAnswerMs) },
  };
}
