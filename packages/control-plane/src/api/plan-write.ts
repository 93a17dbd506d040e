import {
  applyChanges,
  compileOperator,
  compileTenant,
  type Change,
  type Compiled,
  diffSnapshots,
  type Kind,
  makeSnapshot,
  operatorScope,
  type OperatorTable,
  type Problem,
  type Snapshot,
  type SnapshotChange,
  type StoredResource,
  type TableLimits,
  type TenantTable,
} from '@signalbox/config';

import type { WriteInputs, WritePlan } from '../store/store.ts';

/** What a request wants of a scope. */
export interface WantedResources {
  readonly put: readonly StoredResource[];
  readonly delete: readonly { readonly kind: Kind; readonly name: string }[];
  /** Deletes what the scope has and `put` lacks. */
  readonly prune: boolean;
  /** What is doubtful about it, whatever else the scope has. */
  readonly warnings: readonly Problem[];
}

/** Builds what a scope shall be and judges it as every node will. */
export class WritePlanner {
  readonly #limits: TableLimits;
  #operator: { readonly snapshot: Snapshot; readonly table: OperatorTable } | undefined;

  constructor(limits: TableLimits) {
    this.#limits = limits;
  }

  /** The scope with what a request wants. */
  async apply(inputs: WriteInputs, wanted: WantedResources): Promise<WritePlan> {
    const { current } = inputs;
    const changes: SnapshotChange[] = [
      ...(wanted.prune ? unwanted(current, wanted.put) : wanted.delete).map((id) => ({ delete: id })),
      ...wanted.put.map((resource) => ({ put: resource })),
    ];
    const plan = await this.#judged(inputs, applyChanges(current, current.revision + 1n, changes));
    return plan.outcome === 'write' ? { ...plan, warnings: [...wanted.warnings, ...plan.warnings] } : plan;
  }

  /** The scope as it was at a revision: what was right then need not be right now, so it is judged again. */
  async rollback(inputs: WriteInputs, revision: bigint): Promise<WritePlan> {
    const { current } = inputs;
    const earlier = await inputs.at(revision);
    if (!earlier) return { outcome: 'no-such-revision' };
    return this.#judged(inputs, makeSnapshot(current.scope, current.revision + 1n, earlier.resources.values()));
  }

  /** The tenant as a node serves it. */
  compileTenant(operator: Snapshot, tenant: Snapshot): Compiled<TenantTable> {
    return compileTenant(tenant, this.#operatorTable(operator), undefined, this.#limits);
  }

  async #judged(inputs: WriteInputs, candidate: Snapshot): Promise<WritePlan> {
    const problems =
      candidate.scope === operatorScope
        ? await this.#judgeOperator(inputs, candidate)
        : this.compileTenant(inputs.operator, candidate).problems;
    if (problems.some((problem) => problem.severity === 'error')) return { outcome: 'refuse', problems };
    return { outcome: 'write', candidate, warnings: problems };
  }

  /** Also compiles the tenants that the change could break. */
  async #judgeOperator(inputs: WriteInputs, candidate: Snapshot): Promise<readonly Problem[]> {
    const { table, problems } = compileOperator(candidate, this.#limits);
    if (!table) return problems;
    const concerned = concernedTenants(diffSnapshots(inputs.current, candidate));
    if (concerned === 'none') return problems;
    const found: Problem[] = [...problems];
    for await (const tenant of inputs.tenants()) {
      const exists = candidate.resources.has(`Tenant/${tenant.scope}`);
      if (!exists || (concerned !== 'all' && !concerned.has(tenant.scope))) continue;
      const compiled = compileTenant(tenant, table, undefined, this.#limits);
      found.push(...compiled.problems.filter(({ severity }) => severity === 'error'));
    }
    return found;
  }

  /** Every write of every tenant needs it, and it changes seldom: the last one is kept. */
  #operatorTable(snapshot: Snapshot): OperatorTable {
    if (this.#operator?.snapshot === snapshot) return this.#operator.table;
    const { table, problems } = compileOperator(snapshot, this.#limits);
    if (!table)
      throw new Error(`the operator's revision ${snapshot.revision} does not compile: ${problems[0]?.message}`);
    this.#operator = { snapshot, table };
    return table;
  }
}

/**
 * Tenants that a change of the operator's resources can break: any of them by a gateway that changes or goes, one
 * by a change of its own Tenant. New gateways and tenants break nobody.
 */
export function concernedTenants(changes: readonly Change[]): 'none' | 'all' | ReadonlySet<string> {
  const present = changes.filter((change) => change.op !== 'create');
  if (present.some((change) => change.kind === 'Gateway')) return 'all';
  const tenants = present.filter((change) => change.kind === 'Tenant').map((change) => change.name);
  return tenants.length === 0 ? 'none' : new Set(tenants);
}

function unwanted(current: Snapshot, wanted: readonly StoredResource[]): readonly { kind: Kind; name: string }[] {
  const kept = new Set(wanted.map(({ kind, name }) => `${kind}/${name}`));
  return [...current.resources.values()].filter(({ kind, name }) => !kept.has(`${kind}/${name}`));
}
