import type { Kind, StoredResource } from '@signalbox/config';

/**
 * What was committed, in the order of each scope's revisions, whichever replica committed it. Gap-free: a listener
 * that applies every call holds exactly the committed state.
 */
export interface ChangeFeed {
  /** Calls `loaded` once with everything, then `committed` for ever. Resolves after `loaded`. */
  start(listener: ChangeListener): Promise<void>;
  /** Reads on at once: this replica has just committed. */
  kick(): void;
  stop(): Promise<void>;
}

export interface ChangeListener {
  loaded(scopes: readonly CommittedScope[]): void;
  committed(revisions: readonly CommittedRevision[]): void;
}

/** A scope's whole state. */
export interface CommittedScope {
  readonly scope: string;
  readonly revision: bigint;
  readonly committedAtMs: number;
  /** Removals up to this revision are meant. */
  readonly removalsConfirmed: bigint;
  readonly resources: readonly StoredResource[];
}

/** One revision of one scope. */
export interface CommittedRevision {
  readonly scope: string;
  readonly revision: bigint;
  readonly committedAtMs: number;
  /** Removals up to this revision are meant. */
  readonly removalsConfirmed: bigint;
  readonly changes: readonly CommittedChange[];
}

export interface CommittedChange {
  readonly kind: Kind;
  readonly name: string;
  /** Null: deleted. */
  readonly resource: StoredResource | null;
}
