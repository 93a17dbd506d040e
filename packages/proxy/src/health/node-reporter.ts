import { create } from '@bufbuild/protobuf';
import {
  type ReportHealthRequest,
  ReportHealthRequestSchema,
  type ReportHealthResponse,
} from '@signalbox/proto/signalbox/node/v1/node_health_service_pb.ts';
import type { Clock, Counter, Logger, Metrics, Random } from '@signalbox/runtime';

import { isUnimplemented } from '../discovery/unimplemented.ts';
import type { OutcomeCounter, OutcomeCounts } from './outcome-counts.ts';

export interface NodeReporterOptions {
  readonly counter: Pick<OutcomeCounter, 'take' | 'giveBack'>;
  /** Says it to the control plane. @throws when it did not arrive. */
  readonly send: (request: ReportHealthRequest) => Promise<ReportHealthResponse>;
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

/**
 * Tells the control plane how this node does, for tenants that it asks for: those of which a revision is being rolled out.
 * What did not arrive is told with the next report.
 */
export class NodeReporter {
  readonly #options: NodeReporterOptions;
  readonly #failures: Counter;
  readonly #stopping = new AbortController();
  #wanted: readonly string[] = [];
  #running: Promise<void> | undefined;

  constructor(options: NodeReporterOptions) {
    this.#options = options;
    this.#failures = options.metrics.counter('signalbox_proxy_reports_failed_total', 'Reports that did not arrive.');
  }

  start(): void {
    this.#running ??= this.#run();
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
      await clock.sleep(delayMs * (0.9 + 0.2 * random.fraction()), signal).catch(() => undefined);
      if (signal.aborted) return;
      const answer = await this.#report();
      this.#wanted = answer?.tenants ?? this.#wanted;
      const next = answer?.intervalMs ?? 0;
      delayMs = next === 0 ? intervalMs : Math.min(bounds.max, Math.max(bounds.min, next));
    }
  }

  /** @returns the answer; undefined if there is none. */
  async #report(): Promise<ReportHealthResponse | undefined> {
    const { counter, send, node, gateway, logger } = this.#options;
    const taken = this.#wanted.flatMap((tenant) => counter.take(tenant));
    try {
      return await send(create(ReportHealthRequestSchema, { node, gateway, tenants: taken.map(tenantReport) }));
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

function tenantReport({ tenant, revision, requests, denials, upstreamErrors, latency }: OutcomeCounts) {
  const used = latency.findLastIndex((count) => count > 0) + 1;
  return {
    ...{ tenant, revision: BigInt(revision), requests: BigInt(requests), denials: BigInt(denials) },
    upstreamErrors: BigInt(upstreamErrors),
    latency: Array.from(latency.subarray(0, used), BigInt),
  };
}
