import { Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { digestOf } from '../digest.ts';
import { conditionOf, type MatchCondition } from '../match/condition.ts';
import type { AuthenticationTable } from '../policy/authentication.ts';
import { type Problem, ProblemList } from '../problem.ts';
import type { ForwardRouteEntry, McpRouteEntry, RouteEntry } from '../table.ts';
import { compileBackend } from './backend.ts';
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
  readonly backend: Source<'Backend'>;
  readonly applied: AppliedPolicies;
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
  const backendName =
    destination.case === 'mcp' ? virtualServer?.message.members[0]?.backend : destination.value?.backend;
  const backend = required(sources.Backend.get(backendName ?? ''));
  const targets = { route: route.name, virtualServer: virtualServer?.name, backend: backend.name };
  const applied = policies.applyTo(targets);
  const origin = { route, virtualServer, backend, applied };
  const same = earlier.get(route.name);
  if (same !== undefined && isSameOrigin(same.origin, origin)) {
    return same.entry.revision === revision ? same : { ...same, entry: Object.freeze({ ...same.entry, revision }) };
  }
  const condition = conditionOf(route.message.match ?? { hostnames: [], headers: [] });
  return { entry: makeEntry(origin, condition, context), condition, origin };
}

/** What is doubtful or too much about a compiled route. */
export function routeProblems(
  { entry }: CompiledRoute,
  rival: RouteEntry | undefined,
  limits: TableLimits,
): readonly Problem[] {
  const found = new ProblemList({ kind: 'Route', scope: entry.tenant, name: entry.name });
  const { rules } = entry.authorization;
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
    a.route === b.route && a.virtualServer === b.virtualServer && a.backend === b.backend && a.applied === b.applied
  );
}

function makeEntry(origin: RouteOrigin, condition: MatchCondition, context: RouteContext): RouteEntry {
  const { route, applied } = origin;
  const { name, message } = route;
  const { tenant, revision } = context;
  const { authentication, authorization, limits } = applied;
  const { gateway } = message;
  const unenforceable = message.unenforceable === Unenforceable.RESTRICT ? 'restrict' : 'refuse';
  const path = message.match?.path ?? '';
  const destination = makeDestination(origin, context);
  const endpoint = destination.kind === 'mcp' ? `${path}/mcp` : path;
  const content = [
    [tenant, name, gateway, endpoint],
    condition.hostnames === null ? null : [...condition.hostnames].sort(),
    condition.headers,
    [authentication.source, authentication.digest, authorization.digest, limits],
    [unenforceable, destination],
  ];
  const digest = digestOf(JSON.stringify(content));
  return Object.freeze({
    ...{ tenant, name, gateway, revision, digest, endpoint, condition, unenforceable },
    ...{ authentication, authorization, limits },
    ...destination,
  });
}

type Destination = Pick<McpRouteEntry, 'kind' | 'mcp'> | Pick<ForwardRouteEntry, 'kind' | 'backend' | 'forwarding'>;

function makeDestination({ route, virtualServer, ...origin }: RouteOrigin, { tenant }: RouteContext): Destination {
  const backend = compileBackend(tenant, origin.backend);
  const { case: kind } = route.message.destination;
  if (kind !== undefined && kind !== 'mcp') return { kind, backend, forwarding: compileForwarding(route.message) };
  const mcp = Object.freeze({ virtualServer: virtualServer?.name ?? '', member: Object.freeze({ backend }) });
  return { kind: 'mcp', mcp };
}

function acceptsNobody({ apiKeys, jwt, anonymous }: AuthenticationTable): boolean {
  return apiKeys.size === 0 && jwt.size === 0 && anonymous === null;
}

function required<T>(source: T | undefined): T {
  if (source === undefined) throw new Error('compile: a route was compiled before its references were checked');
  return source;
}
