import type { NodeMember } from '../discovery/node-directory.ts';

/** What a replica has to tell with. */
export type FleetReports = Pick<FleetStore, 'report' | 'leave' | 'sweep'>;

/** Where replicas tell each other who runs what. Times are the database's, in milliseconds since the epoch. */
export interface FleetStore {
  /**
   * Says what has changed since the last report of this replica, and that it is alive. All of it is seen at once or not
   * at all.
   */
  report(report: ReplicaReport): Promise<ReportReceipt>;
  /**
   * What the other replicas have said.
   * @param known number of the last report that the caller has read, by replica.
   * @param scopes of which it wants to know how fast their last revisions were.
   */
  read(known: ReadonlyMap<string, bigint>, scopes: readonly string[]): Promise<FleetReading>;
  /** The replica stops in order: its lease ends. */
  leave(replica: string): Promise<void>;
  /** Forgets replicas that have been gone for longer, and what they said. */
  sweep(retentionMs: number): Promise<void>;
}

/** What a replica has to say. */
export interface ReplicaReport {
  /** A UUID, of this process. */
  readonly replica: string;
  /** For people. */
  readonly name: string;
  /** 1, 2, 3, … */
  readonly number: bigint;
  /** How long from now it counts as alive, in milliseconds. */
  readonly leaseMs: number;
  /** It is a relay: what it does not offer it need not have. */
  readonly isPartial: boolean;
  /** Replaces everything that it has said before. */
  readonly isWhole: boolean;
  /** There is more to say, in the next report. */
  readonly isCut: boolean;
  readonly nodes: readonly ReportedNode[];
  /** Keys of nodes that it no longer remembers. */
  readonly forgottenNodes: readonly string[];
  readonly scopes: readonly ReportedScope[];
  /** Scopes that are gone. */
  readonly forgottenScopes: readonly string[];
}

export interface ReportReceipt {
  /** Nothing of what was said before is there: all has to be said again. */
  readonly isForgotten: boolean;
  /** What time it is. */
  readonly nowMs: number;
}

/** A node that is, or was, connected to the replica that reports it. */
export interface ReportedNode {
  /** Unique in a replica: credential and id. */
  readonly key: string;
  readonly id: string;
  readonly gateway: string;
  /** Name of its credential. */
  readonly identity: string;
  /** That its credential puts it in; absent: none. */
  readonly groups?: readonly string[];
  readonly family: string;
  readonly userAgent: string;
  readonly version: string;
  readonly remoteAddress: string;
  /** What it has told of members of virtual servers; absent: nothing. */
  readonly members?: readonly NodeMember[];
  readonly membersLeftOut?: number;
  readonly connected: boolean;
  readonly connectedSinceMs: number;
  /** Absent while it is connected. */
  readonly leftAtMs?: number;
  readonly lastSeenMs: number;
  readonly lastAckMs?: number;
  readonly lastNack?: ReportedNack;
  /** Scopes that it may see; null: all. */
  readonly scopes: readonly string[] | null;
  /** It has not answered for anything on its present stream: it may run anything in any scope. */
  readonly isFresh: boolean;
  /** Scopes in which it runs something else than the revision that the replica offers. */
  readonly behind: Readonly<Record<string, ReportedLag>>;
}

/** Revisions are decimal numbers. */
export interface ReportedLag {
  readonly sent: string;
  readonly applied: string;
  readonly refused?: ReportedNack;
}

export interface ReportedNack {
  readonly atMs: number;
  readonly scope: string;
  readonly revision: string;
  readonly refusals: readonly { readonly type: string; readonly resource: string; readonly message: string }[];
}

/** What a replica offers of a scope. */
interface ReportedScope {
  readonly scope: string;
  readonly revision: bigint;
  /** The last few revisions, oldest first. */
  readonly history: readonly ReportedRevision[];
}

export interface ReportedRevision {
  readonly revision: string;
  readonly committedAtMs: number;
  /** How long nodes took from the commit until they ran it or a newer one, by bucket of the latency sketch. */
  readonly latency: Readonly<Record<string, number>>;
}

export interface FleetReading {
  /** What time it is; 0 if there is no replica. */
  readonly nowMs: number;
  /** Everything is in it that was said before then. */
  readonly asOfMs: number;
  /** All of them, those included that are gone. */
  readonly replicas: readonly ReadReplica[];
  /** Of the scopes that were asked for. */
  readonly history: readonly {
    readonly replica: string;
    readonly scope: string;
    readonly revisions: readonly ReportedRevision[];
  }[];
}

export interface ReadReplica {
  readonly id: string;
  readonly name: string;
  readonly startedAtMs: number;
  /** Until then it is alive; it may be for the length of a lease after the database was started, unless it has left. */
  readonly leaseUntilMs: number;
  /** Number of its newest report; 0 if there is none: it has to say everything again. */
  readonly report: bigint;
  readonly isPartial: boolean;
  /** It has told everything at least once. */
  readonly isComplete: boolean;
  /** `nodes` and `scopes` are all that there is; otherwise what has changed since the report that the caller knows. */
  readonly isWhole: boolean;
  readonly nodes: readonly ReportedNode[];
  readonly scopes: readonly { readonly scope: string; readonly revision: bigint }[];
}
