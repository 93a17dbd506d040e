import { compileOperator, compileTenant, type OperatorTable, type Snapshot, type TenantTable } from '@signalbox/config';
import type { Projection } from '../projection.ts';
import { envoyFamily } from './family.ts';
import { defaultEnvoyOptions, type EnvoyOptions } from './options.ts';
import { projectEnvoy } from './project.ts';

/** What stock Envoys of a gateway receive. Sets are compiled once, for as long as somebody has them. */
export function envoyProjection(options: EnvoyOptions = defaultEnvoyOptions): Projection {
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

  return {
    family: envoyFamily,
    project: ({ gateway, operator: snapshot, tenants: sets }) => {
      const operator = operatorOf(snapshot);
      if (!operator) return [];
      // A set that does not compile was never committed: no node would serve it either.
      const tables = [...sets.values()].flatMap((set) => tenantOf(operator, set) ?? []);
      return projectEnvoy(gateway, operator, tables, options);
    },
  };
}
