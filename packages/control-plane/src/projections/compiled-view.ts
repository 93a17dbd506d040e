import { compileOperator, compileTenant, type OperatorTable, type Snapshot, type TenantTable } from '@signalbox/config';
import type { ConfigurationView } from './projection.ts';

/** The tables of a view. */
export interface CompiledView {
  readonly operator: OperatorTable;
  readonly tenants: readonly TenantTable[];
}

/** Compiles views; each set once, for as long as somebody has it. */
export function viewCompiler(): (view: ConfigurationView) => CompiledView | undefined {
  const operators = new WeakMap<Snapshot, OperatorTable>();
  const tenants = new WeakMap<OperatorTable, WeakMap<Snapshot, TenantTable>>();

  const operatorOf = (snapshot: Snapshot): OperatorTable | undefined => {
    const table = operators.get(snapshot) ?? compileOperator(snapshot).table;
    if (table) operators.set(snapshot, table);
    return table;
  };

  const tenantOf = (operator: OperatorTable, snapshot: Snapshot): TenantTable | undefined => {
    const known = tenants.get(operator) ?? new WeakMap<Snapshot, TenantTable>();
    tenants.set(operator, known);
    const table = known.get(snapshot) ?? compileTenant(snapshot, operator).table;
    if (table) known.set(snapshot, table);
    return table;
  };

  return ({ operator: snapshot, tenants: sets }) => {
    const operator = operatorOf(snapshot);
    // A set that does not compile was never committed: no node would serve it either.
    return operator && { operator, tenants: [...sets.values()].flatMap((set) => tenantOf(operator, set) ?? []) };
  };
}
