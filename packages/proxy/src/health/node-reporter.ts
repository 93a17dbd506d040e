import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  MemberHealth_Condition,
  type ReportHealthRequest,
  ReportHealthRequestSchema,
  type ReportHealthResponse,
} from '@signalbox/proto/signalbox/node/v1/node_health_service_pb.ts';
import type { Clock, Counter, Logger, Metrics, Random } from '@signalbox/runtime';

import type { MemberCondition, MemberReport } from '../federation/member-health.ts';
import { isUnimplemented } from '../discovery/unimplemented.ts';
import type { OutcomeCounter, OutcomeCounts } from './outcome-counts.ts';

export interface NodeReporterOptions {
  readonly counter: Pick<OutcomeCounter, 'take' | 'giveBack'>;
  /** Says it to the control plane. @throws when it did not arrive. */
  readonly send: (request: ReportHealthRequest) => Promise<ReportHealthResponse>;
  /** How members of virtual servers do. */
  readonly members: () => readonly MemberReport[];
  /** Of how many that is told. */
  readonly maxMembers: number;
  readonly node: string;
  readonly gateway: string;
  /** Time between reports until the control plane says otherwise, in milliseconds. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The control plane's word is taken within these bounds, in milliseconds. */
const bounds = { min: 10, max: 600_000 };
/** Changes of members within this time are told together, in milliseconds. */
const gatherMs = 500;

/**
 * Tells the control plane how members of virtual servers do, and how this node does, for tenants that it asks for: those of
 * which a revision is being rolled out. What did not arrive is told with the next report.
 */
export class NodeReporter {
  readonly #options: NodeReporterOptions;
  readonly #failures: Counter;
  readonly #stopping = new AbortController();
  #wanted: readonly string[] = [];
  /** Ends the wait for the next report. */
  #hurry: AbortController | undefined;
  #running: Promise<void> | undefined;

  constructor(options: NodeReporterOptions) {
    this.#options = options;
    this.#failures = options.metrics.counter('signalbox_proxy_reports_failed_total', 'Reports that did not arrive.');
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Something has changed that somebody may wait for: the next report comes within a second. */
  soon(): void {
    this.#hurry?.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the reporter was stopped'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    let delayMs = intervalMs;
    while (!signal.aborted) {
      // Nodes that were started together do not report together.
      const dueMs = delayMs * (0.9 + 0.2 * random.fraction());
      this.#hurry = new AbortController();
      const hurried = AbortSignal.any([signal, this.#hurry.signal]);
      const wasHurried = await clock.sleep(dueMs, hurried).then(
        () => false,
        () => true,
      );
      this.#hurry = undefined;
      // What changes at once is told at once.
      if (wasHurried) await clock.sleep(Math.min(dueMs, gatherMs), signal).catch(() => undefined);
      if (signal.aborted) return;
      const answer = await this.#report();
      this.#wanted = answer?.tenants ?? this.#wanted;
      const next = answer?.intervalMs ?? 0;
      delayMs = next === 0 ? intervalMs : Math.min(bounds.max, Math.max(bounds.min, next));
    }
  }

  #members() {
    const { members, maxMembers } = this.#options;
    const all = members();
    const first = all.toSorted((a, b) => urgency.indexOf(a.condition) - urgency.indexOf(b.condition));
    const told = first.slice(0, maxMembers);
    return { members: told.map(memberReport), membersLeftOut: all.length - told.length };
  }

  /** @returns the answer; undefined if there is none. */
  async #report(): Promise<ReportHealthResponse | undefined> {
    const { counter, send, node, gateway, logger } = this.#options;
    const taken = this.#wanted.flatMap((tenant) => counter.take(tenant));
    try {
      return await send(
        create(ReportHealthRequestSchema, { node, gateway, tenants: taken.map(tenantReport), ...this.#members() }),
      );
    } catch (error) {
      counter.giveBack(taken);
      // A relay does not hear of it: nobody below it is asked.
      if (isUnimplemented(error)) return undefined;
      this.#failures.add();
      logger.debug('how this node does could not be reported', { error: String(error) });
      return undefined;
    }
  }
}

/** In which order members are told of where there are too many. */
const urgency: readonly MemberCondition[] = ['quarantined', 'open', 'needs-auth', 'degraded', 'reachable'];

function memberReport({ tenant, backend, condition, failures, since }: MemberReport) {
  return { tenant, backend, condition: conditions[condition], failures, since: timestampFromMs(since) };
}

const conditions: Readonly<Record<MemberCondition, MemberHealth_Condition>> = {
  reachable: MemberHealth_Condition.REACHABLE,
  degraded: MemberHealth_Condition.DEGRADED,
  open: MemberHealth_Condition.OPEN,
  'needs-auth': MemberHealth_Condition.NEEDS_AUTH,
  quarantined: MemberHealth_Condition.QUARANTINED,
};

function tenantReport({ tenant, revision, requests, denials, upstreamErrors, latency }: OutcomeCounts) {
  const used = latency.findLastIndex((count) => count > 0) + 1;
  return {
    ...{ tenant, revision: BigInt(revision), requests: BigInt(requests), denials: BigInt(denials) },
    upstreamErrors: BigInt(upstreamErrors),
    latency: Array.from(latency.subarray(0, used), BigInt),
  };
}
