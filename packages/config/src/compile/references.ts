import type { BackendKind } from '../backend-entry.ts';
import type { Kind } from '../kind.ts';
import { type Problem, ProblemList } from '../problem.ts';
import { quote } from '../resources/name.ts';
import { isBelow } from '../resources/path.ts';
import { resourceKey, type Snapshot } from '../snapshot.ts';
import { stepSize } from '../steps.ts';
import type { OperatorTable } from '../table.ts';
import type { Source, Sources } from './source.ts';

/**
 * What a tenant's resources name must exist: in its own set, or for gateways and path prefixes in the operator's table.
 * A resource that exists but is faulty counts: its own problem says enough.
 */
export function* checkReferencesSteps(
  snapshot: Snapshot,
  sources: Sources,
  operator: OperatorTable,
  problems: Problem[],
): Generator<void, void> {
  const set = new ReferencedSet(snapshot, sources, operator);
  for (const source of sources.VirtualServer.values()) {
    virtualServer(source, set);
    if (set.checked % stepSize === 0) yield;
  }
  for (const source of sources.Route.values()) {
    route(source, set);
    if (set.checked % stepSize === 0) yield;
  }
  for (const source of sources.Policy.values()) {
    policy(source, set);
    if (set.checked % stepSize === 0) yield;
  }
  problems.push(...set.problems);
}

class ReferencedSet {
  readonly operator: OperatorTable;
  /** Resources looked at so far. */
  checked = 0;
  readonly tenant: string;
  readonly #sources: Sources;
  /** Its resources, the faulty ones too. */
  readonly #resources: Snapshot['resources'];
  readonly #found: ProblemList;

  constructor({ scope, resources }: Snapshot, sources: Sources, operator: OperatorTable) {
    this.operator = operator;
    this.tenant = scope;
    this.#sources = sources;
    this.#resources = resources;
    this.#found = new ProblemList({ kind: '', scope, name: '' });
  }

  get problems(): readonly Problem[] {
    return this.#found.problems;
  }

  problemsOf(kind: Kind, name: string): ProblemList {
    this.checked += 1;
    return this.#found.about(kind, name);
  }

  /** Adds an error unless the tenant has the resource. */
  require(kind: Kind, name: string, field: string, found: ProblemList): void {
    if (this.#sources[kind].has(name) || this.#resources.has(resourceKey({ kind, name }))) return;
    found.error('dangling-reference', field, `tenant ${this.tenant} has no ${kind} ${quote(name)}`);
  }

  /** Adds an error unless the tenant has the backend, and it is of the kind. */
  requireBackend(kind: BackendKind, name: string, field: string, found: ProblemList): void {
    this.require('Backend', name, field, found);
    const is = this.#sources.Backend.get(name)?.message.kind.case;
    if (is === undefined || is === kind) return;
    found.error('invalid-value', field, `Backend ${quote(name)} is of kind ${is}, not ${kind}`);
  }
}

function virtualServer({ name, message }: Source<'VirtualServer'>, set: ReferencedSet): void {
  const found = set.problemsOf('VirtualServer', name);
  for (const [at, member] of message.members.entries()) {
    set.requireBackend('mcp', member.backend, `spec.members[${at}].backend`, found);
  }
}

function route({ name, message }: Source<'Route'>, set: ReferencedSet): void {
  const found = set.problemsOf('Route', name);
  checkGateway(message.gateway, message.match?.hostnames ?? [], set, found);
  checkPrefix(message.match?.path ?? '', set, found);
  const { destination } = message;
  if (destination.case === 'mcp') {
    set.require('VirtualServer', destination.value.virtualServer, 'spec.mcp.virtualServer', found);
  } else if (destination.case !== undefined) {
    set.requireBackend(destination.case, destination.value.backend, `spec.${destination.case}.backend`, found);
  }
}

function checkGateway(name: string, hostnames: readonly string[], set: ReferencedSet, found: ProblemList): void {
  const gateway = set.operator.gateways.get(name);
  if (gateway === undefined) {
    const known = [...set.operator.gateways.keys()].sort().slice(0, 10);
    const hint = known.length === 0 ? 'the operator has none yet' : `there is: ${known.join(', ')}`;
    found.error('dangling-reference', 'spec.gateway', `there is no Gateway ${quote(name)}; ${hint}`);
    return;
  }
  for (const [at, hostname] of hostnames.entries()) {
    if (gateway.listeners.some((listener) => listener.hostnames.has(hostname.toLowerCase()))) continue;
    const message = `no listener of gateway ${name} serves host name ${quote(hostname)}: it is never matched`;
    found.warn('invalid-value', `spec.match.hostnames[${at}]`, message);
  }
}

function checkPrefix(path: string, set: ReferencedSet, found: ProblemList): void {
  const prefixes = set.operator.tenants.get(set.tenant)?.pathPrefixes ?? [];
  if (prefixes.some((prefix) => isBelow(path, prefix))) return;
  const message = `${quote(path)} is outside of the path prefixes of tenant ${set.tenant}: ${prefixes.join(', ')}`;
  found.error('invalid-value', 'spec.match.path', message);
}

function policy({ name, message }: Source<'Policy'>, set: ReferencedSet): void {
  const found = set.problemsOf('Policy', name);
  const target = message.target?.kind;
  switch (target?.case) {
    case 'route':
      set.require('Route', target.value, 'spec.target.route', found);
      break;
    case 'virtualServer':
      set.require('VirtualServer', target.value, 'spec.target.virtualServer', found);
      break;
    case 'backend':
      set.require('Backend', target.value, 'spec.target.backend', found);
      break;
    case 'tenant':
    case undefined:
      break;
  }
}
