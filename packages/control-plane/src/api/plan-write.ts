import {
  applyChangesSteps,
  compileOperator,
  compileTenantSteps,
  type Change,
  type Compiled,
  diffSnapshots,
  type Kind,
  type MassRemoval,
  makeSnapshotSteps,
  massRemoval,
  operatorScope,
  type OperatorTable,
  type Problem,
  type RemovalLimits,
  rolloutPlanOf,
  type Snapshot,
  type SnapshotChange,
  type StoredResource,
  type TableLimits,
  type TenantTable,
} from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';

import { differencesOf, unenforceableSteps } from '../projections/foreign-planes.ts';
import type { WriteInputs, WritePlan } from '../store/store.ts';

/** What a request wants of a scope. */
export interface WantedResources {
  readonly put: readonly StoredResource[];
  readonly delete: readonly { readonly kind: Kind; readonly name: string }[];
  /** Deletes what the scope has and `put` lacks. */
  readonly prune: boolean;
  /** Losing more than half of the scope is meant. */
  readonly confirmRemoval: boolean;
  /** What is doubtful about it, whatever else the scope has. */
  readonly warnings: readonly Problem[];
}

export interface WritePlannerOptions {
  readonly clock: Clock;
  readonly limits: TableLimits;
  /** When a write loses so much that it has to be confirmed. */
  readonly removals: RemovalLimits;
  /** Tenants whose last table is kept, because the next one is compiled from it at the cost of what changed. */
  readonly tables: number;
  /** Size of a resource that one discovery response still carries. */
  readonly resourceBytes: number;
}

/** Longest time for which a compile keeps everything else in the process waiting, in milliseconds. */
const sliceMs = 5;

/** Builds what a scope shall be and judges it as every node will. */
export class WritePlanner {
  readonly #options: WritePlannerOptions;
  /** By tenant, the one used longest ago first. Equal content gives equal tables, whatever a table is compiled from. */
  readonly #tables = new Map<string, TenantTable>();
  #operator: { readonly snapshot: Snapshot; readonly table: OperatorTable } | undefined;

  constructor(options: WritePlannerOptions) {
    this.#options = options;
  }

  /** The scope with what a request wants. */
  async apply(inputs: WriteInputs, wanted: WantedResources): Promise<WritePlan> {
    const { current } = inputs;
    const oversized = this.#oversized(current, wanted.put);
    if (oversized.length > 0) return { outcome: 'refuse', problems: oversized };
    const changes: SnapshotChange[] = [
      ...(wanted.prune ? unwanted(current, wanted.put) : wanted.delete).map((id) => ({ delete: id })),
      ...wanted.put.map((resource) => ({ put: resource })),
    ];
    const candidate = await this.#inSlices(applyChangesSteps(current, current.revision + 1n, changes));
    const plan = await this.#judged(inputs, candidate, wanted.confirmRemoval);
    return plan.outcome === 'write' ? { ...plan, warnings: [...wanted.warnings, ...plan.warnings] } : plan;
  }

  /** The scope as it was at a revision: what was right then need not be right now, so it is judged again. */
  async rollback(inputs: WriteInputs, revision: bigint, confirmRemoval: boolean): Promise<WritePlan> {
    const { current } = inputs;
    const earlier = await inputs.at(revision);
    if (!earlier) return { outcome: 'no-such-revision' };
    const resources = [...earlier.resources.values()];
    const oversized = this.#oversized(current, resources);
    if (oversized.length > 0) return { outcome: 'refuse', problems: oversized };
    const candidate = await this.#inSlices(makeSnapshotSteps(current.scope, current.revision + 1n, resources));
    return this.#judged(inputs, candidate, confirmRemoval);
  }

  /** The tenant as a node serves it. */
  compileTenant(operator: Snapshot, tenant: Snapshot): Promise<Compiled<TenantTable>> {
    return this.#compile(this.#operatorTable(operator), tenant);
  }

  async #judged(inputs: WriteInputs, candidate: Snapshot, confirmRemoval: boolean): Promise<WritePlan> {
    const removal = confirmRemoval ? undefined : massRemoval(inputs.current, candidate, this.#options.removals);
    if (removal) return { outcome: 'refuse', problems: [unconfirmed(candidate.scope, removal)] };
    const problems =
      candidate.scope === operatorScope
        ? await this.#judgeOperator(inputs, candidate)
        : await this.#judgeTenant(this.#operatorTable(inputs.operator), candidate);
    if (problems.some((problem) => problem.severity === 'error')) return { outcome: 'refuse', problems };
    const rollout = candidate.scope === operatorScope ? undefined : rolloutPlanOf(inputs.current, inputs.operator);
    return { outcome: 'write', candidate, warnings: problems, rollout };
  }

  /** As every node will compile it, and as the other data planes of its gateways can enforce it. */
  async #judgeTenant(operator: OperatorTable, candidate: Snapshot): Promise<readonly Problem[]> {
    const { table, problems } = await this.#compile(operator, candidate);
    return table ? [...problems, ...(await this.#inSlices(unenforceableSteps(operator, table)))] : problems;
  }

  /** Resources that would not fit into a discovery response. What is there already is left alone. */
  #oversized(current: Snapshot, put: readonly StoredResource[]): readonly Problem[] {
    const { resourceBytes } = this.#options;
    return put
      .filter(({ body }) => body.length > resourceBytes)
      .filter(({ kind, name, digest }) => current.resources.get(`${kind}/${name}`)?.digest !== digest)
      .map(({ kind, name, body }) => ({
        ...{ severity: 'error', code: 'limit-exceeded', kind, scope: current.scope, name, field: '' },
        message: `the resource has ${body.length} bytes; at most ${resourceBytes} reach a node`,
      }));
  }

  /** Also judges the tenants that the change could break. */
  async #judgeOperator(inputs: WriteInputs, candidate: Snapshot): Promise<readonly Problem[]> {
    const { table, problems } = compileOperator(candidate, this.#options.limits);
    if (!table) return problems;
    const concerned = concernedTenants(diffSnapshots(inputs.current, candidate));
    const found: Problem[] = [...problems, ...differencesOf(table)];
    if (concerned === 'none') return found;
    for await (const tenant of inputs.tenants()) {
      const exists = candidate.resources.has(`Tenant/${tenant.scope}`);
      if (!exists || (concerned !== 'all' && !concerned.has(tenant.scope))) continue;
      const judged = await this.#judgeTenant(table, tenant);
      found.push(...judged.filter(({ severity }) => severity === 'error'));
    }
    return found;
  }

  async #compile(operator: OperatorTable, tenant: Snapshot): Promise<Compiled<TenantTable>> {
    const { limits, tables } = this.#options;
    const { scope } = tenant;
    const compiled = await this.#inSlices(compileTenantSteps(tenant, operator, this.#tables.get(scope), limits));
    if (!compiled.table) return compiled;
    this.#tables.delete(scope);
    this.#tables.set(scope, compiled.table);
    const [oldest] = this.#tables.keys();
    if (this.#tables.size > tables && oldest !== undefined) this.#tables.delete(oldest);
    return compiled;
  }

  /** Lets the event loop turn between steps, so that streams and other requests go on. */
  async #inSlices<T>(steps: Generator<void, T>): Promise<T> {
    const { clock } = this.#options;
    let until = clock.monotonic() + sliceMs;
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (clock.monotonic() < until) continue;
      await new Promise((resolve) => setImmediate(resolve));
      until = clock.monotonic() + sliceMs;
    }
  }

  /** Every write of every tenant needs it, and it changes seldom: the last one is kept. */
  #operatorTable(snapshot: Snapshot): OperatorTable {
    if (this.#operator?.snapshot === snapshot) return this.#operator.table;
    const { table, problems } = compileOperator(snapshot, this.#options.limits);
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

function unconfirmed(scope: string, { removed, of }: MassRemoval): Problem {
  const message = `this removes ${removed} of ${of} resources: if that is meant, confirm it (--confirm-removal, confirm_removal)`;
  return { severity: 'error', code: 'unconfirmed-removal', kind: '', scope, name: '', field: '', message };
}
