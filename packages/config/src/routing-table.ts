import { CompiledOperator } from './compile/operator.ts';
import { CompiledTenant } from './compile/tenant.ts';
import { DigestBuilder } from './digest.ts';
import { drain, stepSize } from './steps.ts';
import type { OperatorTable, RouteEntry, RouteRequest, RoutingTable, TenantTable } from './table.ts';

/** What a node has received: the operator's table, if any, and those of its tenants in any order. */
export interface RoutingTableParts {
  readonly operator: OperatorTable | null;
  readonly tenants: Iterable<TenantTable>;
}

/** {@link assembleRoutingTableSteps} without pauses. */
export function assembleRoutingTable(parts: RoutingTableParts, previous?: RoutingTable): RoutingTable {
  return drain(assembleRoutingTableSteps(parts, previous));
}

/**
 * Tables of scopes → the table of a node. The work depends on the number of tenants, not of routes: a request finds its
 * tenant by path prefix, and the tenant's table finds the route. `previous` saves sorting when the tenants are the same
 * ones. Throws on tables that this package has not compiled.
 */
export function* assembleRoutingTableSteps(
  { operator, tenants }: RoutingTableParts,
  previous?: RoutingTable,
): Generator<void, RoutingTable> {
  if (operator !== null && !(operator instanceof CompiledOperator))
    throw new TypeError('not a compiled operator table');
  const byName = new Map<string, CompiledTenant>();
  for (const table of tenants) {
    if (!(table instanceof CompiledTenant)) throw new TypeError(`not a compiled tenant table: ${table.tenant}`);
    byName.set(table.tenant, table);
  }
  const names = sortedNames(byName, previous);
  const digest = new DigestBuilder();
  digest.add(`operator ${operator?.hash ?? ''}\n`);
  for (const [at, name] of names.entries()) {
    digest.add(`${name} ${byName.get(name)?.hash}\n`);
    if (at % stepSize === 0) yield;
  }
  return new AssembledTable(digest.finish(), operator, byName, names);
}

class AssembledTable implements RoutingTable {
  readonly hash: string;
  readonly operator: CompiledOperator | null;
  readonly tenants: ReadonlyMap<string, CompiledTenant>;
  /** Names of the tenants, sorted. */
  readonly names: readonly string[];

  constructor(
    hash: string,
    operator: CompiledOperator | null,
    tenants: ReadonlyMap<string, CompiledTenant>,
    names: readonly string[],
  ) {
    this.hash = hash;
    this.operator = operator;
    this.tenants = tenants;
    this.names = names;
    Object.freeze(this);
  }

  match(request: RouteRequest): RouteEntry | undefined {
    const owner = this.operator?.ownerOf(request.path);
    return owner === undefined ? undefined : this.tenants.get(owner)?.match(request);
  }
}

function sortedNames(tenants: ReadonlyMap<string, unknown>, previous: RoutingTable | undefined): readonly string[] {
  if (previous instanceof AssembledTable) {
    const { names } = previous;
    if (names.length === tenants.size && names.every((name) => tenants.has(name))) return names;
  }
  return [...tenants.keys()].sort();
}
