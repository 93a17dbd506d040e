import { DataPlane as DataPlaneMessage, type Listener } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { operatorScope } from '../kind.ts';
import { hasErrors, type Problem, ProblemList } from '../problem.ts';
import { quote } from '../resources/name.ts';
import type { Snapshot } from '../snapshot.ts';
import { drain } from '../steps.ts';
import type { DataPlane, GatewayEntry, ListenerEntry, OperatorTable, TenantEntry } from '../table.ts';
import type { Compiled } from './compiled.ts';
import { defaultTableLimits, sizeProblems, type TableLimits } from './limits.ts';
import { decodeSteps, type Source } from './source.ts';

/** The operator's set → table: gateways, and which tenant owns which path prefixes. */
export function compileOperator(snapshot: Snapshot, limits: TableLimits = defaultTableLimits): Compiled<OperatorTable> {
  const problems = sizeProblems(snapshot, limits);
  if (hasErrors(problems)) return { problems };
  const sources = drain(decodeSteps(snapshot, undefined, problems));
  const tenants = [...sources.Tenant.values()].map(tenantEntry);
  problems.push(...reservedNameProblems(tenants), ...overlapProblems(tenants));
  if (hasErrors(problems)) return { problems };
  const gateways = [...sources.Gateway.values()].map(gatewayEntry);
  return { table: new CompiledOperator(snapshot, gateways, tenants), problems };
}

/** The one implementation of an operator table: it also finds the owner of a path. */
export class CompiledOperator implements OperatorTable {
  readonly revision: bigint;
  readonly hash: string;
  readonly gateways: ReadonlyMap<string, GatewayEntry>;
  readonly tenants: ReadonlyMap<string, TenantEntry>;
  readonly #owners = new Map<string, string>();
  /** Segments of the longest prefix: no more of a path need to be looked at. */
  readonly #depth: number;

  constructor(snapshot: Snapshot, gateways: readonly GatewayEntry[], tenants: readonly TenantEntry[]) {
    this.revision = snapshot.revision;
    this.hash = snapshot.hash;
    this.gateways = new Map(gateways.map((gateway) => [gateway.name, gateway]));
    this.tenants = new Map(tenants.map((tenant) => [tenant.name, tenant]));
    let depth = 0;
    for (const { name, pathPrefixes } of tenants) {
      for (const prefix of pathPrefixes) {
        this.#owners.set(prefix, name);
        depth = Math.max(depth, prefix.split('/').length - 1);
      }
    }
    this.#depth = depth;
    Object.freeze(this);
  }

  /** Name of the tenant that owns a path: one of its prefixes, or below one. Prefixes never overlap, so the first one is it. */
  ownerOf(path: string): string | undefined {
    let end = 0;
    for (let segment = 0; segment < this.#depth; segment += 1) {
      end = path.indexOf('/', end + 1);
      const owner = this.#owners.get(end === -1 ? path : path.slice(0, end));
      if (owner !== undefined || end === -1) return owner;
    }
    return undefined;
  }
}

function tenantEntry({ name, message }: Source<'Tenant'>): TenantEntry {
  const pathPrefixes = message.pathPrefixes.length === 0 ? [`/${name}`] : [...message.pathPrefixes].sort();
  return Object.freeze({ name, pathPrefixes: Object.freeze(pathPrefixes) });
}

function gatewayEntry({ name, message }: Source<'Gateway'>): GatewayEntry {
  const dataPlanes = new Set(message.dataPlanes.flatMap((one) => dataPlaneNames.get(one) ?? []));
  if (dataPlanes.size === 0) dataPlanes.add('native');
  return Object.freeze({ name, listeners: Object.freeze(message.listeners.map(listenerEntry)), dataPlanes });
}

const dataPlaneNames: ReadonlyMap<DataPlaneMessage, DataPlane> = new Map([
  [DataPlaneMessage.NATIVE, 'native'],
  [DataPlaneMessage.ENVOY, 'envoy'],
  [DataPlaneMessage.AGENTGATEWAY, 'agentgateway'],
]);

const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

function listenerEntry({ name, port, hostnames, allowedOrigins }: Listener): ListenerEntry {
  const lower = (texts: readonly string[]): ReadonlySet<string> => new Set(texts.map((text) => text.toLowerCase()));
  return Object.freeze({
    name,
    port,
    hostnames: lower(hostnames.length === 0 ? loopbackNames : hostnames),
    allowedOrigins: allowedOrigins.length === 0 ? null : lower(allowedOrigins),
  });
}

function reservedNameProblems(tenants: readonly TenantEntry[]): Problem[] {
  if (!tenants.some((tenant) => tenant.name === operatorScope)) return [];
  const found = new ProblemList({ kind: 'Tenant', scope: operatorScope, name: operatorScope });
  found.error('invalid-value', 'metadata.name', `no tenant can be named ${operatorScope}`);
  return found.problems;
}

/** An error for every tenant with a prefix that lies below, above or at one of a tenant before it. */
function overlapProblems(tenants: readonly TenantEntry[]): Problem[] {
  const problems: Problem[] = [];
  const owners = new Map<string, string>();
  const ancestors = new Map<string, string>();
  for (const { name, pathPrefixes } of tenants) {
    for (const prefix of pathPrefixes) {
      const above = ancestorsOf(prefix);
      const rival = owners.get(prefix) ?? ancestors.get(prefix) ?? above.map((path) => owners.get(path)).find(Boolean);
      if (rival !== undefined && rival !== name) problems.push(overlap(name, prefix, rival));
      if (!owners.has(prefix)) owners.set(prefix, name);
      for (const path of above) if (!ancestors.has(path)) ancestors.set(path, name);
    }
  }
  return problems;
}

function overlap(name: string, prefix: string, rival: string): Problem {
  const found = new ProblemList({ kind: 'Tenant', scope: operatorScope, name });
  const message = `${quote(prefix)} overlaps a path prefix of tenant ${rival}; choose prefixes of which none contains another`;
  found.error('conflict', 'spec.pathPrefixes', message);
  return found.problems[0] as Problem;
}

function ancestorsOf(prefix: string): string[] {
  const ancestors: string[] = [];
  for (let end = prefix.indexOf('/', 1); end !== -1; end = prefix.indexOf('/', end + 1)) {
    ancestors.push(prefix.slice(0, end));
  }
  return ancestors;
}
