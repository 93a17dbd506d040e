import type { BackendEntry } from '../backend-entry.ts';
import { PathIndex } from '../match/path-index.ts';
import { hasErrors, type Problem, ProblemList } from '../problem.ts';
import type { Snapshot } from '../snapshot.ts';
import { drain, stepSize } from '../steps.ts';
import type { OperatorTable, RouteEntry, RouteRequest, TenantTable } from '../table.ts';
import { compileBackendsSteps } from './backend.ts';
import type { Compiled } from './compiled.ts';
import { defaultTableLimits, sizeProblems, type TableLimits } from './limits.ts';
import { type AppliedPolicies, type CompiledPolicy, compilePoliciesSteps, PolicyTree } from './policies.ts';
import { checkReferencesSteps } from './references.ts';
import { rolloutProblems } from './rollout.ts';
import { checkRoute, type CompiledRoute, compileRoute, type RouteContext } from './route.ts';
import { decodeSteps, type Sources } from './source.ts';
import { type CompiledVirtualServer, compileVirtualServersSteps } from './virtual-servers.ts';

/** {@link compileTenantSteps} without pauses. */
export function compileTenant(
  snapshot: Snapshot,
  operator: OperatorTable,
  previous?: TenantTable,
  limits: TableLimits = defaultTableLimits,
): Compiled<TenantTable> {
  return drain(compileTenantSteps(snapshot, operator, previous, limits));
}

/**
 * A tenant's set → table, pausing at least every half millisecond of work (only one expression of a policy can take
 * longer). What has the same content in `previous` is shared with it; the result is equal to one compiled afresh. The
 * problems come in a fixed order, whatever the order of the set.
 */
export function* compileTenantSteps(
  snapshot: Snapshot,
  operator: OperatorTable,
  previous?: TenantTable,
  limits: TableLimits = defaultTableLimits,
): Generator<void, Compiled<TenantTable>> {
  const problems = [...sizeProblems(snapshot, limits), ...ownerProblems(snapshot, operator)];
  if (hasErrors(problems)) return { problems };
  const earlier = previous instanceof CompiledTenant && previous.tenant === snapshot.scope ? previous.parts : nothing;
  const sources = yield* decodeSteps(snapshot, earlier.sources, problems);
  const policies = yield* compilePoliciesSteps(sources.Policy, earlier.policies, snapshot.scope, problems);
  yield* checkReferencesSteps(snapshot, sources, operator, problems);
  const tree = new PolicyTree(policies.values(), earlier.applied);
  problems.push(...tree.conflicts(snapshot.scope), ...rolloutProblems(sources.Policy.values(), snapshot.scope));
  if (hasErrors(problems)) return { problems };
  const { scope: tenant } = snapshot;
  const backends = yield* compileBackendsSteps(tenant, sources.Backend, earlier.backends);
  const shared = { backends, policies: tree };
  const virtualServers = yield* compileVirtualServersSteps(
    tenant,
    sources.VirtualServer,
    shared,
    earlier.virtualServers,
  );
  const context: RouteContext = { tenant, ...shared, virtualServers, earlier: earlier.routes };
  const { routes, index } = yield* compileRoutesSteps(sources.Route, context, limits, problems);
  if (hasErrors(problems)) return { problems };
  const parts = { sources, policies, applied: tree.applied, backends, virtualServers, routes };
  return { table: new CompiledTenant(snapshot, parts, index), problems };
}

/** The one implementation of a tenant table: it also finds routes, and keeps what the next compile can share. */
export class CompiledTenant implements TenantTable {
  readonly tenant: string;
  readonly revision: bigint;
  readonly hash: string;
  readonly routes: ReadonlyMap<string, RouteEntry>;
  readonly quarantined: ReadonlySet<string>;
  readonly parts: EarlierParts;
  readonly #index: PathIndex;

  constructor(snapshot: Snapshot, parts: EarlierParts, index: PathIndex) {
    this.tenant = snapshot.scope;
    this.revision = snapshot.revision;
    this.hash = snapshot.hash;
    this.routes = parts.routes;
    this.quarantined = quarantinedIn(parts.policies.values());
    this.parts = parts;
    this.#index = index;
    Object.freeze(this);
  }

  match(request: RouteRequest): RouteEntry | undefined {
    return this.#index.find(request);
  }
}

function quarantinedIn(policies: Iterable<CompiledPolicy>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { quarantine, target } of policies) if (quarantine && target.case === 'backend') names.add(target.value);
  return names.size === 0 ? none : names;
}

const none: ReadonlySet<string> = new Set();

/** What a compile can share with the next one. */
interface EarlierParts {
  readonly sources?: Sources;
  readonly policies: ReadonlyMap<string, CompiledPolicy>;
  readonly applied: ReadonlyMap<string, AppliedPolicies>;
  readonly backends: ReadonlyMap<string, BackendEntry>;
  readonly virtualServers: ReadonlyMap<string, CompiledVirtualServer>;
  readonly routes: ReadonlyMap<string, CompiledRoute>;
}

const nothing: EarlierParts = {
  ...{ policies: new Map(), applied: new Map() },
  ...{ backends: new Map(), virtualServers: new Map(), routes: new Map() },
};

function* compileRoutesSteps(
  sources: Sources['Route'],
  context: RouteContext,
  limits: TableLimits,
  problems: Problem[],
): Generator<void, { readonly routes: ReadonlyMap<string, CompiledRoute>; readonly index: PathIndex }> {
  const routes = new Map<string, CompiledRoute>();
  const index = new PathIndex();
  const found = new ProblemList({ kind: 'Route', scope: context.tenant, name: '' });
  for (const source of sources.values()) {
    const route = compileRoute(source, context);
    routes.set(source.name, route);
    checkRoute(route, index.add(route), limits, found);
    if (routes.size % stepSize === 0) yield;
  }
  problems.push(...found.problems);
  return { routes, index };
}

/** A tenant that the operator does not know can have no resources. */
function ownerProblems(snapshot: Snapshot, operator: OperatorTable): Problem[] {
  const { scope, resources } = snapshot;
  if (resources.size === 0 || operator.tenants.has(scope)) return [];
  const found = new ProblemList({ kind: 'Tenant', scope, name: scope });
  found.error('dangling-reference', '', `there is no Tenant ${scope}: the operator has to create it first`);
  return found.problems;
}
