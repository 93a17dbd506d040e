import {
  compileOperator,
  compileTenant,
  decodeDocument,
  makeSnapshot,
  type OperatorTable,
  parseResourceFile,
  type Problem,
  type Snapshot,
  type TenantTable,
} from '@signalbox/config';
import { stringify } from 'yaml';
import { type ForeignPlane, gatewayDifferences, planeProblems } from './foreign-plane.ts';

/** The tables of a golden file. */
export interface Tables {
  readonly operator: OperatorTable;
  readonly tenants: readonly TenantTable[];
}

/** Compiles the resources of a file. @param reversed read them backwards */
export function readTables(text: string, reversed = false): Tables {
  const { documents, problems } = parseResourceFile(text, { file: 'in.yaml', variables: () => undefined });
  const decoded = (reversed ? documents.toReversed() : documents).map(decodeDocument);
  const faults = [...problems, ...decoded.flatMap((result) => result.problems)];
  if (faults.length > 0) throw new Error(faults.map(describeProblem).join('\n'));
  const resources = decoded.flatMap((result) => result.resource ?? []);
  const snapshotOf = (scope: string): Snapshot =>
    makeSnapshot(
      scope,
      7n,
      resources.filter((resource) => resource.scope === scope).map(({ stored }) => stored),
    );
  const operator = compileOperator(snapshotOf('operator'));
  if (!operator.table) throw new Error(operator.problems.map(describeProblem).join('\n'));
  const tenants = [...operator.table.tenants.keys()].map((tenant) => {
    const { table, problems: found } = compileTenant(snapshotOf(tenant), operator.table as OperatorTable);
    if (!table) throw new Error(found.map(describeProblem).join('\n'));
    return table;
  });
  return { operator: operator.table, tenants };
}

/** What a golden file holds: what is reported, and what each gateway gets. */
export function summarize<T>(plane: ForeignPlane, tables: Tables, project: (gateway: string) => T): string {
  const { operator, tenants } = tables;
  const problems = [
    ...gatewayDifferences(plane, operator),
    ...tenants.flatMap((tenant) => planeProblems(plane, operator, tenant)),
  ];
  const gateways = [...operator.gateways.keys()].map((gateway) => [gateway, project(gateway)] as const);
  const summary = { problems: problems.map(describeProblem), ...Object.fromEntries(gateways) };
  return stringify(summary, { lineWidth: 0, aliasDuplicateObjects: false });
}

function describeProblem({ severity, code, kind, scope, name, field, message }: Problem): string {
  return `${severity} ${code}: ${kind} ${scope}/${name} ${field}: ${message}`;
}
