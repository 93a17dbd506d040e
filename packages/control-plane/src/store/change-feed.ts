import type { Kind, StoredResource } from '@signalbox/config';

import type { Members } from '../rollout/members.ts';

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
  /** @param staged scopes with a rollout under way; absent: none. */
  loaded(scopes: readonly CommittedScope[], staged?: readonly StagedScope[]): void;
  /** @param staged all scopes with a rollout under way, as of these revisions; absent: as before. */
  committed(revisions: readonly CommittedRevision[], staged?: readonly StagedScope[]): void;
  /**
   * Whether the listener has the scope as it was at a revision, or will have when it has made of it what it was told. Absent:
   * it has nothing of the past.
   */
  holds?(scope: string, revision: bigint): boolean;
}

/** A scope whose newest revision is for some nodes only. */
export interface StagedScope {
  readonly scope: string;
  /** Nodes that get the newest revision. */
  readonly members: Members;
  /** What the others get; undefined where the listener holds it. */
  readonly base: { readonly revision: bigint; readonly state: CommittedScope | undefined };
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
