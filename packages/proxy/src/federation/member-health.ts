import type { BackendEntry } from '@signalbox/config';
import type { Clock, Counter, Logger, Metrics } from '@signalbox/runtime';
import type { UpstreamError } from '../upstream/upstream.ts';
import type { FederationLimits } from './limits.ts';

/**
 * How a member does, by what became of real calls to it: `degraded` after a failure, `open` after several in a row, when
 * it is left alone for a while; `needs-auth` when it refuses the gateway's credential. `quarantined` by somebody's word:
 * nothing is sent to it.
 */
export type MemberCondition = (typeof memberConditions)[number];

export const memberConditions = ['reachable', 'degraded', 'open', 'needs-auth', 'quarantined'] as const;

/** A member as operators see it. */
export interface MemberReport {
  readonly tenant: string;
  readonly backend: string;
  readonly condition: MemberCondition;
  /** Failures in a row. */
  readonly failures: number;
  /** When it came to this condition, milliseconds since the epoch. */
  readonly since: number;
}

interface Record {
  readonly tenant: string;
  readonly backend: string;
  since: number;
  condition: MemberCondition;
  /** In a row. */
  failures: number;
  /** Monotonic time from which one request may try an open one again. */
  retryAt: number;
}

/** Health of backends as members, one record for each that was ever called; bounded, the oldest gives way. */
export class MemberHealth {
  readonly #clock: Clock;
  readonly #limits: FederationLimits;
  readonly #maxBackends: number;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #records = new Map<string, Record>();
  readonly #listeners: (() => void)[] = [];
  readonly #transitions = new Map<MemberCondition, Counter>();

  constructor(
    { clock, logger, metrics }: { readonly clock: Clock; readonly logger: Logger; readonly metrics: Metrics },
    limits: FederationLimits,
    maxBackends: number,
  ) {
    this.#clock = clock;
    this.#logger = logger;
    this.#metrics = metrics;
    this.#limits = limits;
    this.#maxBackends = maxBackends;
  }

  /** All that are remembered, in the order of their first call. */
  *reports(): Generator<MemberReport, void, void> {
    for (const { tenant, backend, condition, failures, since } of this.#records.values()) {
      yield { tenant, backend, condition, failures, since };
    }
  }

  /** Forgets all but these: what no table names does not do well or badly. @param keys of backends. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#records.keys()) if (!keys.has(key)) this.#records.delete(key);
  }

  /** Called when a member has changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  conditionOf({ key }: BackendEntry): MemberCondition {
    return this.#records.get(key)?.condition ?? 'reachable';
  }

  /** Whether a request may go to it now. Of an open one, one request in a while may: what becomes of it decides. */
  admits({ key }: BackendEntry): boolean {
    const record = this.#records.get(key);
    if (record?.condition !== 'open') return true;
    const now = this.#clock.monotonic();
    if (now < record.retryAt) return false;
    record.retryAt = now + this.#limits.breakerMs;
    return true;
  }

  /** It answered: with anything but a failure of its own. */
  answered(backend: BackendEntry, status: number): void {
    if (status >= 500) return this.failed(backend);
    const record = this.#recordOf(backend);
    record.failures = 0;
    this.#become(backend, record, status === 401 || status === 403 ? 'needs-auth' : 'reachable');
  }

  /** It could not be reached, broke off, or answered with a failure of its own. */
  failed(backend: BackendEntry): void {
    const record = this.#recordOf(backend);
    record.failures += 1;
    if (record.failures < this.#limits.breakerFailures) return this.#become(backend, record, 'degraded');
    record.retryAt = this.#clock.monotonic() + this.#limits.breakerMs;
    this.#become(backend, record, 'open');
  }

  #recordOf({ key, tenant, name: backend }: BackendEntry): Record {
    const known = this.#records.get(key);
    if (known) return known;
    const oldest = this.#records.keys().next();
    if (this.#records.size >= this.#maxBackends && !oldest.done) this.#records.delete(oldest.value);
    const since = this.#clock.now();
    const added: Record = { tenant, backend, since, condition: 'reachable', failures: 0, retryAt: 0 };
    this.#records.set(key, added);
    return added;
  }

  #become(backend: BackendEntry, record: Record, condition: MemberCondition): void {
    if (record.condition === condition) return;
    const { tenant, name } = backend;
    this.#logger.info('a member of virtual servers changed', {
      tenant,
      backend: name,
      from: record.condition,
      condition,
    });
    record.condition = condition;
    record.since = this.#clock.now();
    this.#transitionsTo(condition).add();
    for (const listener of this.#listeners) listener();
  }

  #transitionsTo(condition: MemberCondition): Counter {
    const known = this.#transitions.get(condition);
    if (known) return known;
    const help = 'Changes in how members of virtual servers do, by what they became';
    const counter = this.#metrics.counter('signalbox_member_transitions_total', help, { condition });
    this.#transitions.set(condition, counter);
    return counter;
  }
}

/** Why nothing is sent to a member that is in quarantine. */
export const inQuarantine: UpstreamError = {
  code: 'quarantined',
  message: 'the member is in quarantine',
  notAccepted: true,
};

/** Why nothing is sent to a member that is left alone. */
export const breakerOpen: UpstreamError = {
  code: 'breaker-open',
  message: 'the member failed several times in a row and is left alone for a while',
  notAccepted: true,
};
