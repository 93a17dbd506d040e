import {
  assembleRoutingTableSteps,
  type Compiled,
  compileOperator,
  compileTenantSteps,
  type OperatorTable,
  operatorScope,
  type Problem,
  type RoutingTable,
  type Snapshot,
  type TableLimits,
  type TenantTable,
} from '@signalbox/config';
import type { CurrentTable } from '../table/current-table.ts';
import type { TimeSlice } from '../table/time-slice.ts';

/** What should be served from now on. Scopes that it does not name stay as they are. */
export interface Change {
  /** Newer complete sets, by scope. */
  readonly sets: ReadonlyMap<string, Snapshot>;
  /** Tenants that are gone. */
  readonly dropped: ReadonlySet<string>;
  /** Nothing changes unless all of it can. */
  readonly allOrNothing?: boolean;
}

/** What became of a change. */
export interface Outcome {
  /** Sets that are served now and were not before. */
  readonly activated: readonly Snapshot[];
  /** Why a set is not served. Its scope serves what it served before. */
  readonly refused: ReadonlyMap<string, readonly Problem[]>;
  /** Tenants that were served and no longer are. */
  readonly dropped: readonly string[];
}

interface Active<T> {
  readonly snapshot: Snapshot;
  readonly table: T;
}

/** Everything that is served, before it is assembled. Never changed in place. */
interface Serving {
  readonly operator: Active<OperatorTable> | undefined;
  readonly tenants: ReadonlyMap<string, Active<TenantTable>>;
}

/**
 * From sets to the present table: compiles what changed, assembles, swaps once.
 *
 * 1. A set is served whole or not at all; a scope whose new set is refused keeps its old one.
 * 2. The operator's set comes first. It is refused when a tenant that is served would have no valid set under it.
 * 3. A tenant that the operator's set does not name is not served.
 * 4. Work is cut into slices; the swap itself is one assignment.
 * 5. One call at a time: the caller waits for the outcome before the next change.
 */
export class Activation {
  readonly #current: CurrentTable;
  readonly #slice: TimeSlice;
  readonly #limits: TableLimits;
  #serving: Serving = { operator: undefined, tenants: new Map() };

  constructor(current: CurrentTable, slice: TimeSlice, limits: TableLimits) {
    this.#current = current;
    this.#slice = slice;
    this.#limits = limits;
  }

  /** The set of a scope that is served; undefined when none is. */
  active(scope: string): Snapshot | undefined {
    return (scope === operatorScope ? this.#serving.operator : this.#serving.tenants.get(scope))?.snapshot;
  }

  /** Scopes that are served. */
  scopes(): readonly string[] {
    return [...(this.#serving.operator ? [operatorScope] : []), ...this.#serving.tenants.keys()];
  }

  async apply(change: Change): Promise<Outcome> {
    this.#slice.begin();
    const before = this.#serving;
    const refused = new Map<string, readonly Problem[]>();
    const after = await this.#compile(before, change, refused);
    if (change.allOrNothing && refused.size > 0) return { activated: [], refused, dropped: [] };
    const activated = activatedBetween(before, after);
    const dropped = [...before.tenants.keys()].filter((tenant) => !after.tenants.has(tenant));
    if (activated.length > 0 || dropped.length > 0) await this.#publish(after);
    return { activated, refused, dropped };
  }

  async #compile(before: Serving, change: Change, refused: Map<string, readonly Problem[]>): Promise<Serving> {
    const operatorSet = change.sets.get(operatorScope);
    if (operatorSet) {
      const { table, problems } = compileOperator(operatorSet, this.#limits);
      if (table) {
        const operator = { snapshot: operatorSet, table };
        const attempt = await this.#compileTenants({ before, operator, change });
        if (attempt.broken.length === 0) return accept(attempt, refused);
        refused.set(operatorScope, attempt.broken);
      } else refused.set(operatorScope, problems);
    }
    return accept(await this.#compileTenants({ before, operator: before.operator, change }), refused);
  }

  async #compileTenants(input: CompileInput): Promise<Attempt> {
    const { before, operator, change } = input;
    const attempt: Attempt = { operator, tenants: new Map(before.tenants), refused: new Map(), broken: [] };
    const everyTenant = operator === before.operator ? [] : before.tenants.keys();
    for (const tenant of new Set([...change.dropped, ...change.sets.keys(), ...everyTenant])) {
      if (tenant !== operatorScope) await this.#compileTenant(tenant, input, attempt);
      if (this.#slice.spent) await this.#slice.pause();
    }
    return attempt;
  }

  /** Puts the tenant's newest set that compiles into the attempt: the change's, else the one served so far. */
  async #compileTenant(tenant: string, input: CompileInput, attempt: Attempt): Promise<void> {
    const { before, operator, change } = input;
    const active = before.tenants.get(tenant);
    const candidate = change.sets.get(tenant);
    if (change.dropped.has(tenant) || !operator?.table.tenants.has(tenant)) {
      if (candidate) attempt.refused.set(tenant, [unserved(tenant, operator !== undefined)]);
      attempt.tenants.delete(tenant);
      return;
    }
    if (candidate) {
      const { table, problems } = await this.#compileSet(candidate, operator.table, active?.table);
      if (table) return void attempt.tenants.set(tenant, { snapshot: candidate, table });
      attempt.refused.set(tenant, problems);
    }
    if (!active || operator === before.operator) return;
    const { table, problems } = await this.#compileSet(active.snapshot, operator.table, active.table);
    if (table) attempt.tenants.set(tenant, { snapshot: active.snapshot, table });
    else attempt.broken.push(...problems);
  }

  #compileSet(
    snapshot: Snapshot,
    operator: OperatorTable,
    previous: TenantTable | undefined,
  ): Promise<Compiled<TenantTable>> {
    return this.#slice.run(compileTenantSteps(snapshot, operator, previous, this.#limits));
  }

  async #publish(after: Serving): Promise<void> {
    const parts = {
      operator: after.operator?.table ?? null,
      tenants: [...after.tenants.values()].map((active) => active.table),
    };
    const table: RoutingTable = await this.#slice.run(assembleRoutingTableSteps(parts, this.#current.value));
    this.#serving = after;
    this.#current.swap(table);
  }
}

interface CompileInput {
  readonly before: Serving;
  /** The operator's set to compile under. */
  readonly operator: Active<OperatorTable> | undefined;
  readonly change: Change;
}

interface Attempt {
  readonly operator: Active<OperatorTable> | undefined;
  readonly tenants: Map<string, Active<TenantTable>>;
  readonly refused: Map<string, readonly Problem[]>;
  /** Why tenants that are served cannot be under this operator's set. */
  readonly broken: Problem[];
}

function accept(attempt: Attempt, refused: Map<string, readonly Problem[]>): Serving {
  for (const [scope, problems] of attempt.refused) refused.set(scope, problems);
  return { operator: attempt.operator, tenants: attempt.tenants };
}

function activatedBetween(before: Serving, after: Serving): readonly Snapshot[] {
  const activated: Snapshot[] = [];
  if (after.operator && after.operator !== before.operator) activated.push(after.operator.snapshot);
  for (const [tenant, { snapshot }] of after.tenants) {
    if (snapshot !== before.tenants.get(tenant)?.snapshot) activated.push(snapshot);
  }
  return activated;
}

function unserved(tenant: string, hasOperator: boolean): Problem {
  const message = hasOperator
    ? 'the operator’s set has no Tenant of this name'
    : 'the operator’s set has not been received yet';
  return {
    severity: 'error',
    code: 'dangling-reference',
    kind: 'Tenant',
    scope: operatorScope,
    name: tenant,
    field: '',
    message,
  };
}
