import { Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { digestOf } from '../digest.ts';
import { conditionOf, type MatchCondition } from '../match/condition.ts';
import type { AuthenticationTable } from '../policy/authentication.ts';
import { nobody } from '../policy/compile-authentication.ts';
import { type Problem, ProblemList } from '../problem.ts';
import type { ForwardRouteEntry, McpRoute, McpRouteEntry, RouteEntry } from '../table.ts';
import { compileBackend } from './backend.ts';
import { compileFederation, isDirect } from './federation.ts';
import { compileForwarding } from './forwarding.ts';
import type { TableLimits } from './limits.ts';
import type { AppliedPolicies, PolicyTree } from './policies.ts';
import type { Source, Sources } from './source.ts';

/** A route of the table, with what finds it and what the next compile can share. */
export interface CompiledRoute {
  readonly entry: RouteEntry;
  readonly condition: MatchCondition;
  /** What the entry was compiled from: the same objects mean an equal entry, but for the revision. */
  readonly origin: RouteOrigin;
}

interface RouteOrigin {
  readonly route: Source<'Route'>;
  /** Undefined unless the route is of kind mcp. */
  readonly virtualServer: Source<'VirtualServer'> | undefined;
  /** Of the members of the virtual server, in their order; otherwise the only one. */
  readonly backends: readonly Source<'Backend'>[];
  readonly applied: AppliedPolicies;
  /** Of a federation: what policies on its backends say, in the order of members. */
  readonly ofMembers: readonly AppliedPolicies[];
}

/** A tenant and its decoded, sound set. */
export interface RouteContext {
  readonly tenant: string;
  readonly revision: bigint;
  readonly sources: Sources;
  readonly policies: PolicyTree;
  /** Routes of an earlier table, by name. */
  readonly earlier: ReadonlyMap<string, CompiledRoute>;
}

/** Compiles one route, or shares the earlier one if nothing that it is made of has changed. */
export function compileRoute(route: Source<'Route'>, context: RouteContext): CompiledRoute {
  const { sources, policies, earlier, revision } = context;
  const { destination } = route.message;
  const virtualServer =
    destination.case === 'mcp' ? required(sources.VirtualServer.get(destination.value.virtualServer)) : undefined;
  const names = virtualServer?.message.members.map(({ backend }) => backend) ?? [backendOf(route)];
  const backends = names.map((name) => required(sources.Backend.get(name)));
  const direct = virtualServer === undefined || isDirect(virtualServer.message);
  const applied = policies.applyTo({
    route: route.name,
    virtualServer: virtualServer?.name,
    backend: direct ? backends[0]?.name : undefined,
  });
  const ofMembers = direct ? [] : backends.map(({ name }) => policies.ofBackend(name));
  const origin = { route, virtualServer, backends, applied, ofMembers };
  const same = earlier.get(route.name);
  if (same !== undefined && isSameOrigin(same.origin, origin)) {
    return same.entry.revision === revision ? same : { ...same, entry: Object.freeze({ ...same.entry, revision }) };
  }
  const condition = conditionOf(route.message.match ?? { hostnames: [], headers: [] });
  return { entry: makeEntry(origin, condition, context), condition, origin };
}

/** What is doubtful or too much about a compiled route. */
export function routeProblems(
  { entry, origin }: CompiledRoute,
  rival: RouteEntry | undefined,
  limits: TableLimits,
): readonly Problem[] {
  const found = new ProblemList({ kind: 'Route', scope: entry.tenant, name: entry.name });
  const members = (entry.kind === 'mcp' && entry.mcp.federation?.members) || [];
  const rules = [entry.authorization, ...members.map(({ authorization }) => authorization)].flatMap((of) => of.rules);
  checkMemberPolicies(origin, found);
  if (rival !== undefined) {
    const message = `matches the same requests as route ${rival.name}: tell them apart by path, host names or headers`;
    found.error('conflict', 'spec.match', message);
  }
  if (rules.length > limits.rulesPerRoute) {
    const message = `${rules.length} authorization rules apply to it; at most ${limits.rulesPerRoute} are allowed`;
    found.error('limit-exceeded', '', message);
  }
  if (acceptsNobody(entry.authentication)) {
    found.warn('missing-field', '', 'nobody can call it: no policy that applies to it accepts any credential');
  } else if (!rules.some((rule) => rule.effect === 'allow')) {
    found.warn('missing-field', '', 'nobody can call anything on it: no policy that applies to it has an ALLOW rule');
  }
  return found.problems;
}

/** By identity: what did not change between two compiles is the same object in both. */
function isSameOrigin(a: RouteOrigin, b: RouteOrigin): boolean {
  return (
    a.route === b.route &&
    a.virtualServer === b.virtualServer &&
    a.applied === b.applied &&
    isSameList(a.backends, b.backends) &&
    isSameList(a.ofMembers, b.ofMembers)
  );
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}

/** Who may come in is settled before it is known which member a call is for. */
function checkMemberPolicies({ virtualServer, backends, ofMembers }: RouteOrigin, found: ProblemList): void {
  for (const [at, { authentication }] of ofMembers.entries()) {
    if (authentication === nobody) continue;
    const backend = backends[at]?.name ?? '';
    const message =
      `${authentication.source} has authentication for backend ${backend}, which is a member of virtual server ` +
      `${virtualServer?.name}: attach it to the route, the virtual server or the tenant instead`;
    found.error('conflict', 'spec.mcp.virtualServer', message);
  }
}

function makeEntry(origin: RouteOrigin, condition: MatchCondition, context: RouteContext): RouteEntry {
  const { route, virtualServer, applied } = origin;
  const { name, message } = route;
  const { tenant, revision } = context;
  const { authentication, authorization, limits, bounds } = applied;
  const forwarding = compileForwarding(message);
  const { gateway } = message;
  const unenforceable = message.unenforceable === Unenforceable.RESTRICT ? 'restrict' : 'refuse';
  const path = message.match?.path ?? '';
  const destination = makeDestination(origin, context);
  const endpoint = destination.kind === 'mcp' ? `${path}/mcp` : path;
  const content = [
    [tenant, name, gateway, endpoint],
    condition.hostnames === null ? null : [...condition.hostnames].sort(),
    condition.headers,
    origin.backends.map(({ name: backend, digest: content }) => `${backend}@${content}`),
    origin.ofMembers.map((of) => [of.authorization.digest, of.limits, of.bounds]),
    virtualServer && [virtualServer.name, virtualServer.digest],
    [authentication.source, authentication.digest, authorization.digest, limits, bounds],
    [unenforceable, forwarding, destination.kind === 'mcp' ? null : destination],
  ];
  const digest = digestOf(JSON.stringify(content));
  return Object.freeze({
    ...{ tenant, name, gateway, revision, digest, endpoint, condition, unenforceable },
    ...{ authentication, authorization, limits, bounds, forwarding },
    ...destination,
  });
}

type Destination = Pick<McpRouteEntry, 'kind' | 'mcp'> | Pick<ForwardRouteEntry, 'kind' | 'backend'>;

function makeDestination({ route, virtualServer, ...origin }: RouteOrigin, { tenant }: RouteContext): Destination {
  const { case: kind } = route.message.destination;
  if (kind === undefined || kind === 'mcp')
    return { kind: 'mcp', mcp: mcpRoute(tenant, required(virtualServer), origin) };
  return { kind, backend: compileBackend(tenant, required(origin.backends[0])) };
}

function mcpRoute(
  tenant: string,
  virtualServer: Source<'VirtualServer'>,
  { backends, ofMembers }: Pick<RouteOrigin, 'backends' | 'ofMembers'>,
): McpRoute {
  const entries = backends.map((backend) => compileBackend(tenant, backend));
  const backend = required(entries[0]);
  const parts = ofMembers.map(({ authorization, limits, bounds }, at) => ({
    backend: required(entries[at]),
    ...{ authorization, limits, bounds },
  }));
  const federation = parts.length === 0 ? null : compileFederation(virtualServer.message, parts);
  return Object.freeze({
    virtualServer: virtualServer.name,
    sessionKey: federation === null ? backend.key : `${tenant}/${virtualServer.name}#federated`,
    member: Object.freeze({ backend }),
    federation,
  });
}

/** Of a route that leads to no virtual server. */
function backendOf({ message: { destination } }: Source<'Route'>): string {
  return destination.case === undefined || destination.case === 'mcp' ? '' : destination.value.backend;
}

function acceptsNobody({ apiKeys, jwt, anonymous }: AuthenticationTable): boolean {
  return apiKeys.size === 0 && jwt.size === 0 && anonymous === null;
}

function required<T>(source: T | undefined): T {
  if (source === undefined) throw new Error('compile: a route was compiled before its references were checked');
  return source;
}
