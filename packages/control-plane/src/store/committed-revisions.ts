import type { CommittedChange, CommittedRevision } from './change-feed.ts';
import { kindOf, toStored } from './rows.ts';

/** A row of the change log as the tail reads it. */
export interface LogRow {
  readonly xid: string;
  readonly seq: bigint;
  readonly tenant: string;
  readonly revision: bigint;
  readonly kind: string;
  readonly name: string;
  /** Null: deleted. */
  readonly digest: string | null;
  readonly body: Buffer | null;
  readonly at: Date;
  readonly removals_confirmed: bigint;
}

/** What a pass over the log found. */
export interface Found {
  /** New revisions: of each scope in order and without a gap. */
  readonly revisions: readonly CommittedRevision[];
  /** Scopes of which a revision is missing: they have to be read anew. */
  readonly gaps: readonly string[];
}

/**
 * Groups all rows of a pass. Order of transactions is not order of revisions, so rows are sorted by revision; what a
 * scope has already is dropped, whichever pass brought it.
 * @param known newest revision of each scope that the listener has.
 */
export function groupRevisions(rows: readonly LogRow[], known: ReadonlyMap<string, bigint>): Found {
  const byScope = new Map<string, Map<bigint, LogRow[]>>();
  for (const row of rows) {
    if (row.revision <= (known.get(row.tenant) ?? 0n)) continue;
    const revisions = getOrSet(byScope, row.tenant, () => new Map<bigint, LogRow[]>());
    getOrSet(revisions, row.revision, (): LogRow[] => []).push(row);
  }
  const revisions: CommittedRevision[] = [];
  const gaps: string[] = [];
  for (const [scope, found] of byScope) {
    const numbers = [...found.keys()].sort((a, b) => (a < b ? -1 : 1));
    const first = (known.get(scope) ?? 0n) + 1n;
    if (numbers.some((revision, i) => revision !== first + BigInt(i))) gaps.push(scope);
    else revisions.push(...numbers.map((revision) => toRevision(scope, revision, found.get(revision) ?? [])));
  }
  return { revisions, gaps };
}

function toRevision(scope: string, revision: bigint, rows: readonly LogRow[]): CommittedRevision {
  const [first] = rows;
  return {
    ...{ scope, revision, committedAtMs: first?.at.getTime() ?? 0, removalsConfirmed: first?.removals_confirmed ?? 0n },
    changes: rows.map(toChange),
  };
}

function toChange({ kind, name, digest, body }: LogRow): CommittedChange {
  const resource = digest === null || body === null ? null : toStored({ kind, name, digest, body });
  return { kind: kindOf(kind), name, resource };
}

function getOrSet<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
