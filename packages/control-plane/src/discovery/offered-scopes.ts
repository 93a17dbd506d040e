import type { CollectionSource } from '@signalbox/xds';

import { type BucketCounts, LatencySketch } from './latency-sketch.ts';

export interface OfferedScopesOptions {
  /** What is published: the publisher. */
  readonly source: Pick<CollectionSource, 'get' | 'ids' | 'onChange'> & {
    /** When the newest revision of a scope was committed, in milliseconds since the epoch. */
    committedAtMs(scope: string): number | undefined;
  };
  /** Revisions of each scope of which it is remembered how fast they were. */
  readonly maxRevisions: number;
}

/** A revision that is or was offered. */
export interface OfferedRevision {
  readonly revision: bigint;
  readonly committedAtMs: number;
  /** How long nodes took that were connected when it was offered. */
  readonly latency: LatencySketch;
}

/** How fast a revision was, in a form that replicas can tell each other. */
export interface RevisionHistory {
  readonly revision: bigint;
  readonly committedAtMs: number;
  readonly latency: BucketCounts;
}

/** Scopes that changed last, of whose newest revision it is known how long each node took. */
const timedScopes = 100;

/** What this replica offers to nodes: the newest revision of every scope, and how fast the last few were. */
export class OfferedScopes {
  readonly #options: OfferedScopesOptions;
  readonly #scopes = new Map<string, OfferedRevision[]>();
  /** By scope and node: from the commit of the newest revision until the node ran it, in milliseconds. */
  readonly #times = new Map<string, Map<string, number>>();
  #changed = new Set<string>();

  constructor(options: OfferedScopesOptions) {
    this.#options = options;
    for (const scope of options.source.ids()) this.follow(scope);
  }

  /** Newest revision of a scope; undefined if it is not published. */
  revision(scope: string): bigint | undefined {
    return this.#scopes.get(scope)?.at(-1)?.revision;
  }

  scopes(): Iterable<string> {
    return this.#scopes.keys();
  }

  /** Scopes of which something has changed since this was called last. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** Reads a scope anew. @returns the revision that was offered before. */
  follow(scope: string): bigint | undefined {
    const { source } = this.#options;
    const before = this.revision(scope);
    const revision = source.get(scope)?.revision;
    if (revision === undefined) {
      this.#scopes.delete(scope);
      this.#times.delete(scope);
      this.#changed.add(scope);
    } else if (revision !== before) this.#offer(scope, revision);
    return before;
  }

  /** A node that ran one revision of a scope runs another now, and with it those between: takes down how long it took. */
  reached(node: string, { scope, from, to }: { scope: string; from: bigint; to: bigint }, nowMs: number): void {
    for (const { revision, committedAtMs, latency } of this.#scopes.get(scope) ?? []) {
      if (revision <= from || revision > to) continue;
      const afterMs = Math.max(0, nowMs - committedAtMs);
      latency.add(afterMs);
      this.#changed.add(scope);
      if (revision === this.revision(scope)) this.#times.get(scope)?.set(node, afterMs);
    }
  }

  /** How long a node took to run the newest revision, in milliseconds from its commit; undefined if not known. */
  appliedAfterMs(scope: string, node: string): number | undefined {
    return this.#times.get(scope)?.get(node);
  }

  history(scope: string): readonly RevisionHistory[] {
    return (this.#scopes.get(scope) ?? []).map(({ revision, committedAtMs, latency }) => ({
      ...{ revision, committedAtMs, latency: latency.toCounts() },
    }));
  }

  #offer(scope: string, revision: bigint): void {
    const { source, maxRevisions } = this.#options;
    const known = this.#scopes.get(scope) ?? [];
    const committedAtMs = source.committedAtMs(scope) ?? 0;
    this.#scopes.set(scope, [...known, { revision, committedAtMs, latency: new LatencySketch() }].slice(-maxRevisions));
    this.#times.delete(scope);
    this.#times.set(scope, new Map());
    this.#changed.add(scope);
    const [oldest] = this.#times.keys();
    if (this.#times.size > timedScopes && oldest !== undefined) this.#times.delete(oldest);
  }
}
