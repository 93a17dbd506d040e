import type { Clock } from '@signalbox/runtime';

import type {
  FleetReading,
  FleetStore,
  ReadReplica,
  ReplicaReport,
  ReportedNode,
  ReportedRevision,
  ReportReceipt,
} from '../store/fleet-store.ts';

interface Row {
  readonly name: string;
  readonly isPartial: boolean;
  readonly startedAtMs: number;
  leaseUntilMs: number;
  leaseMs: number;
  hasLeft: boolean;
}

interface Said {
  isComplete: boolean;
  report: bigint;
  removedBy: bigint;
  readonly nodes: Map<string, { readonly report: bigint; readonly node: ReportedNode }>;
  readonly scopes: Map<string, { report: bigint; revision: bigint; history: readonly ReportedRevision[] }>;
}

/** What the database does with reports, in memory. */
export class MemoryFleetStore implements FleetStore {
  readonly #clock: Clock;
  readonly #replicas = new Map<string, Row>();
  readonly #said = new Map<string, Said>();
  #upSinceMs: number;
  /** It answers nobody. */
  isDown = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#upSinceMs = clock.now();
  }

  /** It comes back after a crash: what is unlogged is lost. */
  restart(): void {
    this.isDown = false;
    this.#said.clear();
    this.#upSinceMs = this.#clock.now();
  }

  /** Somebody has told of a node and its connection since then. */
  knows(key: string, connectedSinceMs: number): boolean {
    return [...this.#said.values()].some((said) => {
      const known = said.nodes.get(key)?.node;
      return known !== undefined && known.connectedSinceMs >= connectedSinceMs;
    });
  }

  async report(report: ReplicaReport): Promise<ReportReceipt> {
    await this.#answer();
    const nowMs = this.#clock.now();
    const { replica, name, number, leaseMs, isWhole } = report;
    const row = this.#replicas.get(replica) ?? {
      ...{ name, isPartial: report.isPartial, startedAtMs: nowMs, leaseUntilMs: 0, leaseMs, hasLeft: false },
    };
    this.#replicas.set(replica, Object.assign(row, { leaseUntilMs: nowMs + leaseMs, hasLeft: false }));
    const known = isWhole ? undefined : this.#said.get(replica);
    const said: Said = known ?? {
      ...{ report: 0n, removedBy: number, isComplete: false },
      nodes: new Map(),
      scopes: new Map(),
    };
    const isForgotten = !isWhole && !known;
    this.#said.set(replica, said);
    said.report = number;
    said.isComplete ||= !report.isCut;
    if (report.forgottenNodes.length + report.forgottenScopes.length > 0) said.removedBy = number;
    for (const key of report.forgottenNodes) said.nodes.delete(key);
    for (const scope of report.forgottenScopes) said.scopes.delete(scope);
    for (const node of report.nodes) said.nodes.set(node.key, { report: number, node });
    for (const { scope, revision, history } of report.scopes)
      said.scopes.set(scope, { report: number, revision, history });
    return { isForgotten, nowMs };
  }

  async read(known: ReadonlyMap<string, bigint>, scopes: readonly string[]): Promise<FleetReading> {
    await this.#answer();
    const replicas = [...this.#replicas].map(([id, row]) => this.#readReplica(id, row, known.get(id) ?? 0n));
    const history = [...this.#said].flatMap(([replica, said]) =>
      scopes.flatMap((scope) => {
        const revisions = said.scopes.get(scope)?.history;
        return revisions ? [{ replica, scope, revisions }] : [];
      }),
    );
    return { nowMs: this.#clock.now(), asOfMs: this.#clock.now(), replicas, history };
  }

  async leave(replica: string): Promise<void> {
    await this.#answer();
    const row = this.#replicas.get(replica);
    if (row) Object.assign(row, { hasLeft: true, leaseUntilMs: this.#clock.now() });
  }

  async sweep(): Promise<void> {
    await this.#answer();
  }

  #readReplica(id: string, row: Row, known: bigint): ReadReplica {
    const { name, isPartial, startedAtMs, leaseUntilMs, leaseMs, hasLeft } = row;
    const said = this.#said.get(id);
    const isWhole = !said || known === 0n || known < said.removedBy;
    const since = isWhole ? -1n : known;
    return {
      ...{ id, name, startedAtMs, isPartial, report: said?.report ?? 0n, isWhole },
      isComplete: said?.isComplete ?? false,
      leaseUntilMs: hasLeft ? leaseUntilMs : Math.max(leaseUntilMs, this.#upSinceMs + leaseMs),
      nodes: [...(said?.nodes.values() ?? [])].flatMap(({ report, node }) => (report > since ? [node] : [])),
      scopes: [...(said?.scopes ?? [])].flatMap(([scope, { report, revision }]) =>
        report > since ? [{ scope, revision }] : [],
      ),
    };
  }

  async #answer(): Promise<void> {
    await Promise.resolve();
    if (this.isDown) throw new Error('the database is down');
  }
}
