import { create } from '@bufbuild/protobuf';
import { backendOf } from '@signalbox/config';
import {
  type ClaimBackendsRequest,
  ClaimBackendsRequestSchema,
  type ClaimBackendsResponse,
  type ClaimedBackend,
  type ReportCatalogRequest,
  ReportCatalogRequest_Outcome as Outcome,
  ReportCatalogRequestSchema,
} from '@signalbox/proto/signalbox/node/v1/catalog_service_pb.ts';
import type { Clock, Counter, Logger, Metrics, Random } from '@signalbox/runtime';
import { isUnimplemented } from '../discovery/unimplemented.ts';
import { placeOf } from '../mcp/endpoint.ts';
import { EraProbe } from '../mcp/era-probe.ts';
import type { RequestLimits } from '../mcp/request-limits.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type Exploration, explore } from './explore.ts';

export interface CatalogExplorerOptions {
  /** How the control plane is spoken to. @throws when there is no answer. */
  readonly controlPlane: {
    claimBackends(request: ClaimBackendsRequest): Promise<ClaimBackendsResponse>;
    reportCatalog(request: ReportCatalogRequest): Promise<unknown>;
  };
  /** Where servers are reached: each in its own era, with the node's certificates. */
  readonly upstream: Upstream;
  readonly node: string;
  readonly gateway: string;
  /** Time between questions until the control plane says otherwise, in milliseconds. */
  readonly askMs: number;
  /** Servers at the same time. */
  readonly servers: number;
  /** How long a server may take for each answer, in milliseconds. */
  readonly answerMs: number;
  readonly limits: RequestLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The control plane's word is taken within these bounds, in milliseconds. */
const bounds = { min: 10, max: 3_600_000 };
/** A look ends so much before its lease, in milliseconds: the report has to arrive. */
const reportMs = 2_000;

/** Looks up what MCP servers have, for the control plane: it says which. */
export class CatalogExplorer {
  readonly #options: CatalogExplorerOptions;
  readonly #eras: EraProbe;
  readonly #failures: Counter;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: CatalogExplorerOptions) {
    this.#options = options;
    this.#eras = new EraProbe(options);
    const help = 'Questions and reports about catalogs that the control plane did not answer.';
    this.#failures = options.metrics.counter('signalbox_proxy_catalog_failures_total', help);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the explorer was stopped'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, askMs } = this.#options;
    const { signal } = this.#stopping;
    let delayMs = askMs;
    while (!signal.aborted) {
      // Nodes that were started together do not ask together.
      await clock.sleep(delayMs * (0.9 + 0.2 * random.fraction()), signal).catch(() => undefined);
      if (signal.aborted) return;
      const claimed = await this.#attempt('ask', () => this.#claim());
      if (claimed) await Promise.race([this.#lookAt(claimed), aborted(signal)]);
      const next = claimed?.intervalMs ?? 0;
      delayMs = next === 0 ? askMs : Math.min(bounds.max, Math.max(bounds.min, next));
    }
  }

  #claim(): Promise<ClaimBackendsResponse> {
    const { controlPlane, node, gateway, servers: limit } = this.#options;
    return controlPlane.claimBackends(create(ClaimBackendsRequestSchema, { node, gateway, limit }));
  }

  async #lookAt(claimed: ClaimBackendsResponse): Promise<void> {
    await Promise.all(claimed.backends.map((backend) => this.#lookAtOne(backend, claimed)));
  }

  async #lookAtOne(claimed: ClaimedBackend, terms: ClaimBackendsResponse): Promise<void> {
    const { node, gateway, controlPlane, logger } = this.#options;
    const { lease, tenant, backend } = claimed;
    const found = await this.#explore(claimed, terms);
    logger.debug('looked at what a server has', { tenant, backend, outcome: found.outcome });
    const report = create(ReportCatalogRequestSchema, {
      ...{ node, gateway, lease, tenant, backend, outcome: outcomes[found.outcome] },
      ...(found.outcome === 'complete' ? contentsOf(found) : { problem: found.problem }),
    });
    if (!this.#stopping.signal.aborted) await this.#attempt('report', () => controlPlane.reportCatalog(report));
  }

  async #explore(
    { tenant, backend: name, resource }: ClaimedBackend,
    terms: ClaimBackendsResponse,
  ): Promise<Exploration> {
    const backend = backendOf(tenant, name, resource);
    if (backend?.kind !== 'mcp') return { outcome: 'failed', problem: 'the node cannot read the Backend: upgrade it' };
    const { clock, limits, answerMs } = this.#options;
    const late = new AbortController();
    using _timer = clock.timer(Math.max(answerMs, terms.leaseMs - reportMs), () => late.abort());
    return await explore(
      {
        ...{ ...this.#options, eras: this.#eras, limits, connectMs: limits.connectMs },
        deadline: AbortSignal.any([late.signal, this.#stopping.signal]),
        ...{ maxDescriptors: terms.maxDescriptors, maxBytes: terms.maxBytes },
      },
      placeOf(backend),
    );
  }

  /** @returns undefined if it did not work out: the control plane then asks somebody else. */
  async #attempt<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      // A relay does not hear of it: nodes below it are not asked.
      if (isUnimplemented(error)) return undefined;
      this.#failures.add();
      this.#options.logger.debug('the control plane did not answer about catalogs', { what, error: String(error) });
      return undefined;
    }
  }
}

const outcomes: Readonly<Record<Exploration['outcome'], Outcome>> = {
  complete: Outcome.COMPLETE,
  'needs-auth': Outcome.NEEDS_AUTH,
  unreachable: Outcome.UNREACHABLE,
  failed: Outcome.FAILED,
};

function contentsOf({ era, protocolVersion, descriptors }: Exploration & { readonly outcome: 'complete' }) {
  return {
    ...{ era, protocolVersion },
    descriptors: descriptors.map(({ kind, json }) => ({ kind, json: new Uint8Array(json) })),
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
