import type { CallBounds, FederatedMember, Federation, McpRouteEntry, RouteEntry } from '@signalbox/config';
import {
  CompositePerRouteSchema,
  ExecuteFilterActionSchema,
} from '@signalbox/proto/envoy/extensions/filters/http/composite/v3/composite_pb.ts';
import {
  McpRouterSchema,
  ValidationPolicy_Mode,
} from '@signalbox/proto/envoy/extensions/filters/http/mcp_router/v3/mcp_router_pb.ts';
import type { Any } from '@bufbuild/protobuf/wkt';
import { ratesOf, requestTimeoutMs } from '../call-bounds.ts';
import { all, any, type Formula, never, not, value } from '../conditions/formula.ts';
import { type EnvoyTopic, payloadKey } from './fields.ts';
import { filterNames } from './filter-names.ts';
import { milliseconds, pack } from './pack.ts';
import { upstreamOf } from './upstream.ts';

/** Longest answer of a member; that of our own proxy. */
const usualAnswerMs = 300_000;

/** Why Envoy cannot present the members of a virtual server as one; empty when it can, or need not. */
export function memberProblems({ mcp }: McpRouteEntry): readonly string[] {
  const { federation } = mcp;
  if (federation === null) return [];
  const { members } = federation;
  const backends = members.flatMap(({ authorization, backend, limits }) => {
    const rules = authorization.rules.filter(({ effect }) => effect === 'allow').map(({ id }) => id);
    return [
      ...rules.map((id) => `Envoy cannot enforce what ${id} asks: it is about a member of a virtual server`),
      ...ratesOf({ limits }).map(({ id }) => `Envoy cannot count ${id} for one member of a virtual server`),
      ...(new URL(backend.url).search === '' ? [] : ['Envoy cannot call a backend whose URL has a query']),
    ];
  });
  return [
    ...(members.length === 1 ? ['Envoy cannot give a prefix to the names of a single member'] : []),
    ...(members.some(({ prefix }) => prefix === '')
      ? ['Envoy cannot present members without prefix beside others']
      : []),
    ...(federation.toolSearch === null ? [] : ['Envoy has no search for tools']),
    ...(members.every(({ isWhole }) => isWhole) ? [] : ['Envoy cannot select, rename or describe what members have']),
    ...backends,
  ];
}

export function isFederated(route: RouteEntry): boolean {
  return route.kind === 'mcp' && route.mcp.federation !== null;
}

/** Whether it gets a route at all: members that it cannot present would be others there. */
export function presentsMembers(route: RouteEntry): boolean {
  const federation = route.kind === 'mcp' ? route.mcp.federation : null;
  if (federation === null) return true;
  const { members, toolSearch } = federation;
  return toolSearch === null && members.length > 1 && members.every(({ prefix, isWhole }) => prefix !== '' && isWhole);
}

/**
 * That a request is about something of one of these members: its name begins with the prefix and is not too long, its URI
 * with the key. Envoy counts bytes where we count characters, so names are ASCII. Schemes that stay in front of URIs at our own proxy do not here, and lead nowhere.
 */
export function isOfMembers(
  { maxNameLength }: Federation,
  members: readonly FederatedMember[],
  topic: EnvoyTopic,
): Formula {
  if (!('subject' in topic)) return never;
  if (topic.subject === 'uri') return any(members.map(({ key }) => hasUri(key)));
  const isShort = value('mcp', ['params', 'name'], {
    is: 'regex',
    text: `[\\x00-\\x7f]{0,${maxNameLength}}`,
  });
  const names = members.map(({ prefix }) => value('mcp', ['params', 'name'], { is: 'prefix', text: `${prefix}__` }));
  return all([isShort, any(names)]);
}

/** Presents the members as one server; in place of what would send a request to one upstream. */
export function membersFilter(route: McpRouteEntry): Any | undefined {
  const { federation } = route.mcp;
  if (federation === null) return undefined;
  const router = pack(McpRouterSchema, {
    servers: presented(federation).map(({ prefix, backend, bounds }) => {
      const url = new URL(backend.url);
      const mcpCluster = { cluster: upstreamOf(backend).cluster, path: url.pathname, hostRewriteLiteral: url.host };
      return { name: prefix, mcpCluster: { ...mcpCluster, timeout: milliseconds(answerMs(route, bounds)) } };
    }),
    ...sessionIdentity(route),
  });
  const extension = { name: 'envoy.filters.http.mcp_router', typedConfig: router };
  const action = {
    name: filterNames.members,
    typedConfig: pack(ExecuteFilterActionSchema, { typedConfig: extension }),
  };
  return pack(CompositePerRouteSchema, { matcher: { onNoMatch: { onMatch: { case: 'action', value: action } } } });
}

/** Members in quarantine are nowhere. Where all are, policy denies everything, and the filter still needs a server. */
function presented({ members }: Federation): readonly FederatedMember[] {
  const trusted = members.filter(({ authorization }) => authorization.quarantine === undefined);
  return trusted.length === 0 ? members : trusted;
}

/** By the route and policies on it and on the member. */
function answerMs(route: McpRouteEntry, { timeoutMs }: CallBounds): number {
  return Math.min(requestTimeoutMs(route) || usualAnswerMs, timeoutMs ?? usualAnswerMs);
}

/** Sessions belong to their caller where every caller has a token: it is part of the session id, and compared. */
function sessionIdentity({ authentication }: McpRouteEntry) {
  if (authentication.anonymous !== null) return {};
  const path = [payloadKey, 'sub'].map((key) => ({ segment: { case: 'key' as const, value: key } }));
  const identity = { dynamicMetadata: { key: { key: filterNames.jwt, path } } };
  return { sessionIdentity: { identity, validation: { mode: ValidationPolicy_Mode.ENFORCE } } };
}

function hasUri(key: string): Formula {
  const begins = (text: string): Formula => value('mcp', ['params', 'uri'], { is: 'prefix', text });
  return all([begins(`${key}+`), not(begins(`${key}+ui://`)), not(begins(`${key}+skill://`))]);
}
