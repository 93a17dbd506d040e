import { Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { digestOf } from '../digest.ts';
import { conditionOf, type MatchCondition } from '../match/condition.ts';
import type { AuthenticationTable } from '../policy/authentication.ts';
import { nobody } from '../policy/compile-authentication.ts';
import { type Problem, ProblemList } from '../problem.ts';
import type { BackendEntry, McpRoute, RouteEntry } from '../table.ts';
import { compileFederation, isDirect } from './federation.ts';
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
  readonly virtualServer: Source<'VirtualServer'>;
  /** Of the members, in their order. */
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
  const virtualServer = required(sources.VirtualServer.get(route.message.destination.value?.virtualServer ?? ''));
  const { members } = virtualServer.message;
  const backends = members.map(({ backend }) => required(sources.Backend.get(backend)));
  const direct = isDirect(virtualServer.message);
  const applied = policies.applyTo({
    route: route.name,
    virtualServer: virtualServer.name,
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
  const members = entry.mcp.federation?.members ?? [];
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
      `${virtualServer.name}: attach it to the route, the virtual server or the tenant instead`;
    found.error('conflict', 'spec.mcp.virtualServer', message);
  }
}

function makeEntry(origin: RouteOrigin, condition: MatchCondition, context: RouteContext): RouteEntry {
  const { route, virtualServer, applied } = origin;
  const { name, message } = route;
  const { tenant, revision } = context;
  const mcp = mcpRoute(tenant, origin);
  const { authentication, authorization } = applied;
  const { gateway } = message;
  const unenforceable = message.unenforceable === Unenforceable.RESTRICT ? 'restrict' : 'refuse';
  const endpoint = `${message.match?.path ?? ''}/mcp`;
  const content = [
    [tenant, name, gateway, endpoint],
    condition.hostnames === null ? null : [...condition.hostnames].sort(),
    condition.headers,
    [mcp.virtualServer, ...origin.backends.map((backend) => `${backend.name}@${backend.digest}`)],
    mcp.federation && [virtualServer.digest, ...origin.ofMembers.map((of) => of.authorization.digest)],
    [authentication.source, authentication.digest, authorization.digest],
    unenforceable,
  ];
  const digest = digestOf(JSON.stringify(content));
  return Object.freeze({
    ...{ tenant, name, gateway, revision, digest, endpoint, condition, unenforceable, mcp },
    ...{ authentication, authorization },
  });
}

function mcpRoute(tenant: string, { virtualServer, backends, ofMembers }: RouteOrigin): McpRoute {
  const entries = backends.map((backend) => backendEntry(tenant, backend));
  const [backend] = entries;
  if (backend === undefined) throw new Error('compile: a virtual server without members was not refused');
  const parts = ofMembers.map(({ authorization }, at) => ({ backend: entries[at] ?? backend, authorization }));
  const federation = parts.length === 0 ? null : compileFederation(virtualServer.message, parts);
  return Object.freeze({
    virtualServer: virtualServer.name,
    sessionKey: federation === null ? backend.key : `${tenant}/${virtualServer.name}#federated`,
    member: Object.freeze({ backend }),
    federation,
  });
}

function backendEntry(tenant: string, { name, digest, message }: Source<'Backend'>): BackendEntry {
  return Object.freeze({ tenant, name, key: `${tenant}/${name}@${digest}`, url: message.kind.value?.url ?? '' });
}

function acceptsNobody({ apiKeys, jwt, anonymous }: AuthenticationTable): boolean {
  return apiKeys.size === 0 && jwt.size === 0 && anonymous === null;
}

function required<T>(source: T | undefined): T {
  if (source === undefined) throw new Error('compile: a route was compiled before its references were checked');
  return source;
}
