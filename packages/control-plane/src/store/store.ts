import type { Change, Kind, Problem, RolloutPlan, Snapshot, StoredResource } from '@signalbox/config';

import type { RolloutEnd } from './staged-revision.ts';

/** The truth: resources and revisions of every scope. Each call sees one scope, and the operator's where it says so. */
export interface ConfigStore {
  /**
   * Changes one scope in one transaction and one revision.
   * @throws StoreBusy, or the database's error when it cannot be reached.
   */
  write(request: WriteRequest): Promise<WriteOutcome>;
  /** What a write of this scope would start from; undefined if there is no such scope. */
  read<T>(scope: string, look: (inputs: WriteInputs) => Promise<T>): Promise<T | undefined>;
  /** Resources with the revision of their last change, by kind and name; undefined if there is no such scope. */
  list(scope: string, filter?: ResourceFilter): Promise<ResourceList | undefined>;
  /** Newest first. */
  revisions(
    scope: string,
    page: { limit: number; before: bigint | undefined },
  ): Promise<readonly RevisionInfo[] | undefined>;
  /** One revision and what it changed; undefined if there is no such scope or revision. */
  revision(scope: string, revision: bigint): Promise<RevisionDetail | undefined>;
  tenant(name: string): Promise<TenantInfo | undefined>;
  /** All tenants, or of the named ones those that exist, by name. */
  tenants(names?: readonly string[]): Promise<readonly TenantInfo[]>;
  /** The database answers. */
  ping(): Promise<void>;
}

export interface ResourceFilter {
  readonly kind?: Kind;
  readonly name?: string;
}

export interface ResourceList {
  readonly scope: string;
  readonly revision: bigint;
  /** `revision` is that of the last change; 0 while the database does not answer. */
  readonly resources: readonly { readonly resource: StoredResource; readonly revision: bigint }[];
}

export interface WriteRequest {
  readonly scope: string;
  /** Name of the credential that writes. */
  readonly author: string;
  readonly message: string;
  readonly cause: 'apply' | 'rollback';
  /** A UUID under which a repeated request has one effect; without one, only this call's own retries are covered. */
  readonly requestId: string | undefined;
  /** Hash of what is asked: the same id with another content is refused. */
  readonly fingerprint: string;
  /** Write only if this is the scope's newest revision. */
  readonly ifMatch: bigint | undefined;
  /** Nodes may lose more than half of what they have of the scope; the plan has made sure that this is meant. */
  readonly confirmRemoval?: boolean;
  /** Deletes what a removed tenant still has, as a last revision of it; otherwise its removal is refused. */
  readonly emptyRemovedTenants?: boolean;
  /** Revision whose content comes back, of a rollback. */
  readonly returnsTo?: bigint;
  /** How the rollout under way ends that a rollback takes back; absent: it is superseded. */
  readonly endsRollout?: RolloutEnd;
  /**
   * What the scope shall be, judged as a node would. Called inside the transaction, under the locks that keep every
   * input as it is until the commit; called again if the transaction has to be repeated.
   */
  plan(inputs: WriteInputs): Promise<WritePlan>;
}

/** What a plan may look at. */
export interface WriteInputs {
  /** The scope at its newest revision. */
  readonly current: Snapshot;
  /** The operator's scope; `current` itself when that is the scope. */
  readonly operator: Snapshot;
  /** The scope as it was at a revision; undefined if it has no such revision. */
  at(revision: bigint): Promise<Snapshot | undefined>;
  /**
   * Snapshots of the tenants that have resources, one after the other: the newest, and of a tenant with a rollout under
   * way also what most nodes have. For the operator's scope only.
   */
  tenants(): AsyncIterable<Snapshot>;
}

export type WritePlan =
  | { readonly outcome: 'refuse'; readonly problems: readonly Problem[] }
  | { readonly outcome: 'no-such-revision' }
  | {
      readonly outcome: 'write';
      readonly candidate: Snapshot;
      readonly warnings: readonly Problem[];
      /** In which steps the revision reaches nodes; absent: all at once. */
      readonly rollout?: RolloutPlan | undefined;
    };

export type WriteOutcome =
  | {
      readonly outcome: 'committed' | 'unchanged' | 'repeated';
      /** The scope's newest revision; of a repeated request, the one that the first had. */
      readonly revision: bigint;
      /** Whether the request, now or when it was first made, wrote a revision. */
      readonly committed: boolean;
      /** The revision reaches nodes in stages. */
      readonly staged: boolean;
      readonly changes: readonly Change[];
      readonly warnings: readonly Problem[];
    }
  | { readonly outcome: 'refused'; readonly problems: readonly Problem[] }
  | { readonly outcome: 'revision-mismatch'; readonly newest: bigint }
  | { readonly outcome: 'request-id-reused' }
  | { readonly outcome: 'no-such-revision' }
  | { readonly outcome: 'no-such-scope' };

export interface RevisionInfo {
  readonly revision: bigint;
  readonly parent: bigint;
  readonly cause: 'apply' | 'rollback';
  readonly author: string;
  readonly message: string;
  readonly at: Date;
  readonly changeCount: number;
}

export interface RevisionDetail extends RevisionInfo {
  readonly changes: readonly Change[];
}

export interface TenantInfo {
  readonly name: string;
  readonly revision: bigint;
  readonly resourceCount: number;
  /** Undefined while the database does not answer. */
  readonly createdAt: Date | undefined;
  /** Its Tenant resource in the operator's scope. */
  readonly resource: StoredResource;
}
