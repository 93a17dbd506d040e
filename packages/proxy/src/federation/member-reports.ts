import type { RoutingTable } from '@signalbox/config';
import type { Clock, Metrics } from '@signalbox/runtime';
import { type MemberCondition, type MemberHealth, memberConditions, type MemberReport } from './member-health.ts';

export interface MemberReportsOptions {
  readonly health: Pick<MemberHealth, 'reports'>;
  readonly tables: { readonly value: RoutingTable | undefined };
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/**
 * How members do, for operators: by what became of calls to them, or that they are in quarantine, whatever became of
 * calls before.
 */
export class MemberReports {
  readonly #options: MemberReportsOptions;
  /** When a quarantine was seen first, milliseconds since the epoch, by tenant and backend. */
  #since = new Map<string, number>();

  constructor(options: MemberReportsOptions) {
    this.#options = options;
    const { metrics } = options;
    const gauges = memberConditions.map((condition) => {
      const help = 'Backends as members of virtual servers, by how they do';
      return [condition, metrics.gauge('signalbox_members', help, { condition })] as const;
    });
    metrics.onCollect(() => {
      const counts = new Map<MemberCondition, number>();
      for (const { condition } of this.list()) counts.set(condition, (counts.get(condition) ?? 0) + 1);
      for (const [condition, gauge] of gauges) gauge.set(counts.get(condition) ?? 0);
    });
  }

  /** Those in quarantine first, then the others in the order of their first call. */
  list(): readonly MemberReport[] {
    const quarantined = this.#quarantined();
    const others = [...this.#options.health.reports()].filter((report) => !this.#since.has(nameOf(report)));
    return [...quarantined, ...others];
  }

  #quarantined(): readonly MemberReport[] {
    const now = this.#options.clock.now();
    const since = new Map<string, number>();
    const reports: MemberReport[] = [];
    for (const { tenant, quarantined } of this.#options.tables.value?.tenants.values() ?? []) {
      for (const backend of quarantined) {
        const name = nameOf({ tenant, backend });
        const at = this.#since.get(name) ?? now;
        since.set(name, at);
        reports.push({ tenant, backend, condition: 'quarantined', failures: 0, since: at });
      }
    }
    this.#since = since;
    return reports;
  }
}

function nameOf({ tenant, backend }: Pick<MemberReport, 'tenant' | 'backend'>): string {
  return `${tenant}/${backend}`;
}
