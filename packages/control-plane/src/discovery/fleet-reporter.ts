import type { Clock, Counter, Logger, Metrics } from '@signalbox/runtime';

import type { DatabaseTime } from '../store/database-time.ts';
import type { FleetReports, ReportedLag, ReportedNack, ReportedNode, ReplicaReport } from '../store/fleet-store.ts';
import type { NodeNack } from './node-directory.ts';
import type { Lag, NodeRecord } from './node-record.ts';
import type { NodeRegistry } from './node-registry.ts';

export interface FleetReporterOptions {
  /** This process: a UUID, and a name for people. */
  readonly replica: { readonly id: string; readonly name: string };
  readonly registry: Pick<NodeRegistry, 'records' | 'offered' | 'forgotten' | 'onChange'>;
  readonly store: FleetReports;
  /** This is a relay: what it does not offer it need not have. */
  readonly isPartial?: boolean;
  readonly time: DatabaseTime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Changes within this time are told at once, in milliseconds: most nodes have answered by then. */
  readonly coalesceMs: number;
  /** How long this replica counts as alive after its last report, in milliseconds. */
  readonly leaseMs: number;
  /** Rows of one report. */
  readonly maxRows: number;
  /** What replicas said that are gone is kept so long, in milliseconds. */
  readonly retentionMs: number;
  /** The database has not taken a report. */
  readonly onOutage: () => void;
}

/** Scopes in which a node may lag before it counts as running anything. */
const maxLags = 1_000;
/** Reasons of a refusal that are told, and characters of each. */
const maxRefusals = 20;
const maxReason = 1_000;
/** The time of a node's last acknowledgement is told anew when it is older than this. */
const refreshMs = 10_000;

/** What was told of a node. */
interface Told {
  readonly record: NodeRecord;
  /** Of the record. */
  readonly version: number;
  /** What can change of a record, without times that change all the time and without the scopes that it serves. */
  readonly text: string;
  readonly servedVersion: number | undefined;
  readonly lastAckMs: number | undefined;
  readonly atMs: number;
}

/**
 * Tells the other replicas what this one knows of its nodes.
 *
 * 1. A report is one transaction. Nodes are told before the revisions that are offered to them, so nobody ever reads
 *    that a node runs a revision that it does not run.
 * 2. Only what has changed is told. If the database has lost it, or may not have taken it, everything is told again.
 * 3. A replica that tells nothing for the length of its lease counts as gone, with the nodes that it has.
 */
export class FleetReporter {
  readonly #options: FleetReporterOptions;
  readonly #told = new Map<string, Told>();
  /** How many nodes the registry had forgotten when that was told last. */
  #forgotten = 0;
  /** Scopes of which something has to be told. */
  readonly #dueScopes = new Set<string>();
  readonly #timers = new DisposableStack();
  readonly #reports: Counter;
  readonly #failures: Counter;
  #number = 0n;
  #isWhole = true;
  #failing = false;
  #due: Disposable | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: FleetReporterOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#reports = metrics.counter('signalbox_fleet_reports_total', 'Reports to the other replicas.');
    this.#failures = metrics.counter(
      'signalbox_fleet_report_failures_total',
      'Reports that the database did not take.',
    );
  }

  /** Tells whatever changes. Resolves when it is told, or could not be, that this replica is there. */
  async start(): Promise<void> {
    const { registry, clock, leaseMs, retentionMs, store } = this.#options;
    const sweep = () => void store.sweep(retentionMs).catch(() => undefined);
    this.#timers.use(registry.onChange(() => this.#soon()));
    this.#timers.use(clock.interval(Math.max(1, leaseMs / 3), () => this.#kick()));
    this.#timers.use(clock.interval(Math.max(leaseMs, retentionMs / 10), sweep));
    this.#kick();
    await this.#running;
  }

  /** Tells what happened last, and that nobody need wait for this replica. */
  async stop(): Promise<void> {
    this.#timers.dispose();
    this.#due?.[Symbol.dispose]();
    await this.#running;
    // Nobody waits for a database that is away.
    if (!this.#failing) await this.#run();
    this.#stopped = true;
    if (!this.#failing) await this.#options.store.leave(this.#options.replica.id).catch(() => undefined);
  }

  #soon(): void {
    const { clock, coalesceMs } = this.#options;
    this.#due ??= clock.timer(coalesceMs, () => {
      this.#due = undefined;
      this.#kick();
    });
  }

  #kick(): void {
    this.#again = true;
    this.#running ??= this.#runAll().finally(() => {
      this.#running = undefined;
    });
  }

  async #runAll(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      await this.#run();
    }
  }

  /** One report. What does not fit is told with the next, at once. */
  async #run(): Promise<void> {
    const { store, time, clock, logger } = this.#options;
    const draft = this.#draft();
    const askedAtMs = clock.monotonic();
    try {
      const receipt = await store.report(draft.report);
      time.read(receipt.nowMs, askedAtMs);
      this.#reports.add();
      if (this.#failing) logger.info('other replicas are told again what nodes run');
      this.#failing = false;
      this.#isWhole = false;
      draft.accept();
      if (receipt.isForgotten) this.#forget();
      this.#again ||= receipt.isForgotten || draft.report.isCut;
    } catch (error) {
      this.#failures.add();
      this.#options.onOutage();
      if (!this.#failing) logger.warn('other replicas cannot be told what nodes run', { error: String(error) });
      this.#failing = true;
      this.#forget();
    }
  }

  /** Everything has to be told again. */
  #forget(): void {
    this.#isWhole = true;
    this.#told.clear();
    for (const scope of this.#options.registry.offered.scopes()) this.#dueScopes.add(scope);
  }

  #draft(): Draft {
    const { replica, leaseMs, maxRows, registry } = this.#options;
    const news = this.#news();
    const { forgotten } = registry;
    const forgottenNodes = forgotten === this.#forgotten ? [] : this.#forgottenNodes();
    for (const scope of registry.offered.takeChanged()) this.#dueScopes.add(scope);
    // Revisions are told when nothing is left to be told of nodes.
    const scopes = news.length < maxRows ? [...this.#dueScopes].slice(0, maxRows) : [];
    const forgottenScopes = scopes.filter((scope) => registry.offered.revision(scope) === undefined);
    for (const scope of scopes) this.#dueScopes.delete(scope);
    const isCut = news.length === maxRows || this.#dueScopes.size > 0;
    this.#number += 1n;
    const report: ReplicaReport = {
      ...{ replica: replica.id, name: replica.name, number: this.#number, leaseMs, isCut },
      ...{ isWhole: this.#isWhole, isPartial: this.#options.isPartial ?? false },
      ...{ nodes: news.map(({ node }) => node), forgottenNodes, forgottenScopes },
      scopes: scopes.flatMap((scope) => reportedScope(registry, scope)),
    };
    const accept = () => {
      for (const { node, told } of news) this.#told.set(node.key, told);
      for (const key of forgottenNodes) this.#told.delete(key);
      this.#forgotten = forgotten;
    };
    return { report, accept };
  }

  /** Nodes of which there is something to tell: no more than one report holds. */
  #news(): readonly NodeNews[] {
    const { registry, time, maxRows } = this.#options;
    const nowMs = time.now();
    const news: NodeNews[] = [];
    for (const record of registry.records()) {
      const one = this.#newsOf(record, nowMs);
      if (one) news.push(one);
      if (news.length === maxRows) break;
    }
    return news;
  }

  #newsOf(record: NodeRecord, nowMs: number): NodeNews | undefined {
    const told = this.#told.get(record.key);
    const { version, lastAckMs, servedVersion } = record;
    const isOutdated = told && told.lastAckMs !== lastAckMs && nowMs - told.atMs > refreshMs;
    if (told?.version === version && !isOutdated) return undefined;
    const text = JSON.stringify(stateOf(record));
    const isSame = told?.record === record && servedVersion !== undefined && told.servedVersion === servedVersion;
    if (isSame && told.text === text && !isOutdated) {
      this.#told.set(record.key, { ...told, version });
      return undefined;
    }
    const node = { ...summaryOf(record), scopes: record.served(this.#options.registry.offered) };
    return { node, told: { record, version, text, servedVersion, lastAckMs, atMs: nowMs } };
  }

  #forgottenNodes(): readonly string[] {
    const known = new Set(Array.from(this.#options.registry.records(), ({ key }) => key));
    return [...this.#told.keys()].filter((key) => !known.has(key));
  }
}

interface NodeNews {
  readonly node: ReportedNode;
  readonly told: Told;
}

interface Draft {
  readonly report: ReplicaReport;
  /** The report was taken. */
  accept(): void;
}

function reportedScope({ offered }: FleetReporterOptions['registry'], scope: string): ReplicaReport['scopes'] {
  const revision = offered.revision(scope);
  if (revision === undefined) return [];
  const history = offered.history(scope).map((each) => ({ ...each, revision: each.revision.toString() }));
  return [{ scope, revision, history }];
}

/** All that is told of a node but the scopes that it serves. */
function summaryOf(record: NodeRecord): Omit<ReportedNode, 'scopes'> {
  const { key, stream, isConnected, connectedSinceMs, lastSeenMs, lastAckMs } = record;
  const { node, identity, remoteAddress, family } = stream;
  return {
    ...{ key, id: node.id, gateway: node.cluster, identity: identity.name, family, remoteAddress },
    ...(identity.groups && { groups: identity.groups }),
    ...{ userAgent: node.userAgentName, version: node.userAgentVersion, connected: isConnected, connectedSinceMs },
    lastSeenMs,
    ...(lastAckMs !== undefined && { lastAckMs }),
    ...stateOf(record),
  };
}

type ReportedState = Pick<ReportedNode, 'leftAtMs' | 'lastNack' | 'members' | 'membersLeftOut' | 'isFresh' | 'behind'>;

/** Of what is told of a node, what can change on its stream: all other parts are those of its first request. */
function stateOf(record: NodeRecord): ReportedState {
  const { leftAtMs, lastNack, told, behind } = record;
  const isLost = behind.size > maxLags;
  return {
    ...(leftAtMs !== undefined && { leftAtMs }),
    ...(lastNack && { lastNack: reportedNack(lastNack) }),
    ...(told.members.length > 0 && { members: told.members, membersLeftOut: told.leftOut }),
    isFresh: record.isFresh || isLost,
    behind: isLost ? {} : Object.fromEntries(Array.from(behind, ([scope, lag]) => [scope, reportedLag(lag)])),
  };
}

function reportedLag({ sent, applied, refused }: Lag): ReportedLag {
  const lag = { sent: sent.toString(), applied: applied.toString() };
  return refused ? { ...lag, refused: reportedNack(refused) } : lag;
}

function reportedNack({ atMs, scope, revision, refusals }: NodeNack): ReportedNack {
  const told = refusals.slice(0, maxRefusals).map(({ type, resource, message }) => ({
    type,
    resource: resource.slice(0, maxReason),
    message: message.slice(0, maxReason),
  }));
  return { atMs, scope, revision: revision.toString(), refusals: told };
}
