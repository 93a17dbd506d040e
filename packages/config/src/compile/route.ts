import { Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import type { BackendEntry } from '../backend-entry.ts';
import { digestOf } from '../digest.ts';
import { conditionOf } from '../match/condition.ts';
import { nobody } from '../policy/compile-authentication.ts';
import type { ProblemList } from '../problem.ts';
import type { ForwardRouteEntry, McpRouteEntry, RouteEntry } from '../table.ts';
import { compileForwarding } from './forwarding.ts';
import type { TableLimits } from './limits.ts';
import type { AppliedPolicies, PolicyTree } from './policies.ts';
import type { Source } from './source.ts';
import type { CompiledVirtualServer } from './virtual-servers.ts';

/** A route of the table that also says what it was compiled from, so that the next compile can share it. */
export type CompiledRoute = RouteEntry & { readonly [origin]: RouteOrigin };

const origin = Symbol('origin');

/** The same objects mean an equal entry. */
interface RouteOrigin {
  readonly route: Source<'Route'>;
  readonly destination: CompiledVirtualServer | BackendEntry;
  readonly applied: AppliedPolicies;
}

/** What a tenant's routes lead to and stand under, compiled, and its earlier routes by name. */
export interface RouteContext {
  readonly tenant: string;
  readonly backends: ReadonlyMap<string, BackendEntry>;
  readonly virtualServers: ReadonlyMap<string, CompiledVirtualServer>;
  readonly policies: PolicyTree;
  readonly earlier: ReadonlyMap<string, CompiledRoute>;
}

/** Compiles one route, or shares the earlier one if nothing that it is made of has changed. */
export function compileRoute(route: Source<'Route'>, context: RouteContext): CompiledRoute {
  const destination = destinationOf(route, context);
  const applied = context.policies.applyTo({ route: route.name, ...targetsOf(destination) });
  const earlier = context.earlier.get(route.name);
  const before = earlier?.[origin];
  if (before?.route !== route) return makeEntry(context.tenant, { route, destination, applied });
  if (before.destination === destination && before.applied === applied) return earlier as CompiledRoute;
  return makeEntry(context.tenant, { route, destination, applied }, earlier);
}

/** Adds what is doubtful or too much about a compiled route. */
export function checkRoute(
  route: CompiledRoute,
  rival: RouteEntry | undefined,
  limits: TableLimits,
  found: ProblemList,
): void {
  found.about('Route', route.name);
  checkMemberPolicies(route[origin], found);
  if (rival !== undefined) {
    const message = `matches the same requests as route ${rival.name}: tell them apart by path, host names or headers`;
    found.error('conflict', 'spec.match', message);
  }
  const { count, allows } = rulesOf(route);
  if (count > limits.rulesPerRoute) {
    const message = `${count} authorization rules apply to it; at most ${limits.rulesPerRoute} are allowed`;
    found.error('limit-exceeded', '', message);
  }
  if (acceptsNobody(route)) {
    found.warn('missing-field', '', 'nobody can call it: no policy that applies to it accepts any credential');
  } else if (!allows) {
    found.warn('missing-field', '', 'nobody can call anything on it: no policy that applies to it has an ALLOW rule');
  }
}

function destinationOf(
  { message: { destination } }: Source<'Route'>,
  context: RouteContext,
): RouteOrigin['destination'] {
  const { case: kind, value } = destination;
  const found =
    kind === undefined || kind === 'mcp'
      ? context.virtualServers.get(value?.virtualServer ?? '')
      : context.backends.get(value.backend);
  if (found === undefined) throw new Error('compile: a route was compiled before its references were checked');
  return found;
}

function isVirtualServer(destination: RouteOrigin['destination']): destination is CompiledVirtualServer {
  return 'mcp' in destination;
}

/** Policies on the backends of a federation apply to its members one by one. */
function targetsOf(destination: RouteOrigin['destination']) {
  if (!isVirtualServer(destination)) return { virtualServer: undefined, backend: destination.name };
  const { virtualServer, member, federation } = destination.mcp;
  return { virtualServer, backend: federation === null ? member.backend.name : undefined };
}

/** @param like an entry of the same route. */
function makeEntry(tenant: string, from: RouteOrigin, like?: RouteEntry): CompiledRoute {
  const { route, destination, applied } = from;
  const { name, message } = route;
  const path = message.match?.path ?? '';
  const leadsToServer = isVirtualServer(destination);
  const content = [`${tenant}/${name}`, route.digest, leadsToServer ? destination.digest : destination.key];
  return Object.freeze({
    ...{ tenant, name },
    gateway: message.gateway,
    digest: digestOf(`${content.join('\n')}\n${applied.digest}`),
    endpoint: like?.endpoint ?? (leadsToServer ? `${path}/mcp` : path),
    condition: like?.condition ?? conditionOf(message.match ?? { hostnames: [], headers: [] }),
    unenforceable: message.unenforceable === Unenforceable.RESTRICT ? 'restrict' : 'refuse',
    authentication: applied.authentication,
    authorization: applied.authorization,
    limits: applied.limits,
    bounds: applied.bounds,
    forwarding: like?.forwarding ?? compileForwarding(message),
    ...(leadsToServer ? mcpDestination(destination) : forwardDestination(route, destination)),
    [origin]: from,
  });
}

function mcpDestination({ mcp }: CompiledVirtualServer): Pick<McpRouteEntry, 'kind' | 'mcp'> {
  return { kind: 'mcp', mcp };
}

function forwardDestination(
  { message }: Source<'Route'>,
  backend: BackendEntry,
): Pick<ForwardRouteEntry, 'kind' | 'backend'> {
  return { kind: message.destination.case as ForwardRouteEntry['kind'], backend };
}

/** Who may come in is settled before it is known which member a call is for. */
function checkMemberPolicies({ destination }: RouteOrigin, found: ProblemList): void {
  if (!isVirtualServer(destination)) return;
  for (const [at, { authentication }] of destination.ofMembers.entries()) {
    if (authentication === nobody) continue;
    const message =
      `${authentication.source} has authentication for backend ${destination.backends[at]?.name ?? ''}, which is a ` +
      `member of virtual server ${destination.source.name}: attach it to the route, the virtual server or the tenant instead`;
    found.error('conflict', 'spec.mcp.virtualServer', message);
  }
}

/** Of the route and of all its members together. */
function rulesOf(route: RouteEntry): { readonly count: number; readonly allows: boolean } {
  const members = (route.kind === 'mcp' && route.mcp.federation?.members) || [];
  let count = 0;
  let allows = false;
  for (const { authorization } of [route, ...members]) {
    count += authorization.rules.length;
    allows ||= authorization.rules.some((rule) => rule.effect === 'allow');
  }
  return { count, allows };
}

function acceptsNobody({ authentication: { apiKeys, jwt, anonymous } }: RouteEntry): boolean {
  return apiKeys.size === 0 && jwt.size === 0 && anonymous === null;
}
