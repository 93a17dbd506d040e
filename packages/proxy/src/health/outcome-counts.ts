import type { OutcomeEvent, Recorder } from '@signalbox/audit';

/** What became of requests under one revision of a tenant, since it was taken last. */
export interface OutcomeCounts {
  readonly tenant: string;
  readonly revision: number;
  requests: number;
  /** Denied by policy, beyond its limits, or without an accepted credential. */
  denials: number;
  upstreamErrors: number;
  /** Requests by latency: see {@link latencyBucket}. */
  latency: Uint32Array;
}

const buckets = 80;

/** Bucket of a latency: the first up to 0.1 ms, and the bound 2^¼ as much from one to the next. */
export function latencyBucket(ms: number): number {
  if (!(ms > 0.1)) return 0;
  return Math.min(buckets - 1, Math.ceil(Math.log2(ms * 10) * 4));
}

/** Methods of requests that last for as long as somebody listens. */
const streams: ReadonlySet<string> = new Set(['GET', 'subscriptions/listen']);

/** A tenant, as of its present revision and of the one before, under which requests may still end. */
interface TenantCounts {
  current: OutcomeCounts;
  before: OutcomeCounts | undefined;
}

/**
 * Counts outcomes by tenant and revision as they are recorded, for the control plane to compare. A request costs a few
 * additions. Bounded: of more tenants than `maxTenants` those are forgotten that were counted first.
 */
export class OutcomeCounter implements Recorder {
  readonly #recorder: Recorder;
  readonly #maxTenants: number;
  readonly #tenants = new Map<string, TenantCounts>();
  /** Requests tend to come in rows. */
  #last: OutcomeCounts | undefined;

  constructor(recorder: Recorder, maxTenants: number) {
    this.#recorder = recorder;
    this.#maxTenants = maxTenants;
  }

  record(event: OutcomeEvent): void {
    if (event.tenant !== '') this.#count(event);
    this.#recorder.record(event);
  }

  close(deadline: AbortSignal): Promise<void> {
    return this.#recorder.close(deadline);
  }

  /** What has been counted of a tenant, and no more after this; see {@link giveBack}. */
  take(tenant: string): readonly OutcomeCounts[] {
    const counts = this.#tenants.get(tenant);
    if (!counts) return [];
    this.#tenants.delete(tenant);
    this.#last = undefined;
    return [counts.current, ...(counts.before ? [counts.before] : [])];
  }

  /** What was taken did not arrive: it counts on. */
  giveBack(taken: readonly OutcomeCounts[]): void {
    for (const { tenant, revision, requests, denials, upstreamErrors, latency } of taken) {
      const counts = this.#of(tenant, revision);
      if (!counts) continue;
      counts.requests += requests;
      counts.denials += denials;
      counts.upstreamErrors += upstreamErrors;
      for (const [bucket, count] of latency.entries()) counts.latency[bucket] = (counts.latency[bucket] ?? 0) + count;
    }
  }

  #count(event: OutcomeEvent): void {
    const { tenant, revision, method, durationMs } = event;
    const last = this.#last;
    const counts = last?.revision === revision && last.tenant === tenant ? last : this.#of(tenant, revision);
    if (!counts) return;
    this.#last = counts;
    counts.requests += 1;
    if (isDenial(event)) counts.denials += 1;
    else if (isUpstreamError(event)) counts.upstreamErrors += 1;
    if (streams.has(method)) return;
    const bucket = latencyBucket(durationMs);
    counts.latency[bucket] = (counts.latency[bucket] ?? 0) + 1;
  }

  /** Undefined for a revision that is older than the two that are counted. */
  #of(tenant: string, revision: number): OutcomeCounts | undefined {
    const known = this.#tenants.get(tenant);
    if (known?.current.revision === revision) return known.current;
    if (known?.before?.revision === revision) return known.before;
    if (known && revision < known.current.revision) {
      if (known.before && revision < known.before.revision) return undefined;
      known.before = newCounts(tenant, revision);
      return known.before;
    }
    const current = newCounts(tenant, revision);
    this.#tenants.set(tenant, { current, before: known?.current });
    const [oldest] = this.#tenants.keys();
    if (this.#tenants.size > this.#maxTenants && oldest !== undefined) this.#tenants.delete(oldest);
    this.#last = undefined;
    return current;
  }
}

function isDenial({ decision }: OutcomeEvent): boolean {
  return decision === 'deny' || decision === 'limited' || decision === 'unauthenticated';
}

/** The gateway names what it answers itself; other failures are the upstream's own. */
function isUpstreamError({ error, status }: OutcomeEvent): boolean {
  return error === '' ? status >= 500 : error.startsWith('upstream_');
}

function newCounts(tenant: string, revision: number): OutcomeCounts {
  return { tenant, revision, requests: 0, denials: 0, upstreamErrors: 0, latency: new Uint32Array(buckets) };
}
