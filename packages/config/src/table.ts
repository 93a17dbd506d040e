import type { BackendEntry } from './backend-entry.ts';
import type { Federation } from './federation/federation.ts';
import type { Forwarding } from './forwarding.ts';
import type { MatchCondition } from './match/condition.ts';
import type { AuthenticationTable } from './policy/authentication.ts';
import type { AuthorizationTable } from './policy/authorization.ts';
import type { CallBounds, LimitEntry } from './policy/limits.ts';

/**
 * What a node serves from: everything of its gateway, compiled, immutable, swapped by one assignment.
 * Made only by assembling compiled tables, in routing-table.ts.
 */
export interface RoutingTable {
  /** Hash over the operator's and every tenant's set: equal input, equal hash. */
  readonly hash: string;
  /** Null until the operator's set has been received. */
  readonly operator: OperatorTable | null;
  /** By tenant name. A swap for one tenant shares the others' objects. */
  readonly tenants: ReadonlyMap<string, TenantTable>;
  /** The route for a request, or undefined. Cost does not depend on the number of routes. */
  match(request: RouteRequest): RouteEntry | undefined;
}

export interface RouteRequest {
  readonly gateway: string;
  /** Host without port, lower case. */
  readonly host: string;
  /** Path without query, as received, such as `/acme/assistant/mcp`. */
  readonly path: string;
  /** Value of a request header by lower-case name. */
  header(name: string): string | undefined;
}

export interface OperatorTable {
  readonly revision: bigint;
  readonly hash: string;
  readonly gateways: ReadonlyMap<string, GatewayEntry>;
  readonly tenants: ReadonlyMap<string, TenantEntry>;
  /** Name of the tenant that owns a path below one of its prefixes, whether it has a route there or not. */
  ownerOf(path: string): string | undefined;
}

export interface GatewayEntry {
  readonly name: string;
  readonly listeners: readonly ListenerEntry[];
  /** Who serves it; at least one. */
  readonly dataPlanes: ReadonlySet<DataPlane>;
}

/** A kind of proxy: our own, or a stock one that a projection configures. */
export type DataPlane = 'native' | 'envoy' | 'agentgateway';

export interface ListenerEntry {
  readonly name: string;
  readonly port: number;
  /** Lower case; loopback names when the resource lists none. */
  readonly hostnames: ReadonlySet<string>;
  /** `null`: only loopback origins, any port. */
  readonly allowedOrigins: ReadonlySet<string> | null;
}

export interface TenantEntry {
  readonly name: string;
  readonly pathPrefixes: readonly string[];
}

/** All routes of one tenant at one revision. */
export interface TenantTable {
  readonly tenant: string;
  readonly revision: bigint;
  /** Hash of the tenant's set. */
  readonly hash: string;
  /** By route name. */
  readonly routes: ReadonlyMap<string, RouteEntry>;
  /** Names of backends that are in quarantine. */
  readonly quarantined: ReadonlySet<string>;
}

/**
 * One route with everything a request on it needs, so that nothing else is looked up. Tables of several revisions share
 * it while nothing about it changes. `digest` covers all of it: equal digests mean that nothing changed.
 */
export type RouteEntry = McpRouteEntry | ForwardRouteEntry;

/** A route that leads to MCP servers. */
export interface McpRouteEntry extends RouteFacts {
  readonly kind: 'mcp';
  readonly mcp: McpRoute;
}

/** A route whose requests are handed on to one backend of its kind. */
export interface ForwardRouteEntry extends RouteFacts {
  readonly kind: 'http' | 'grpc' | 'a2a';
  readonly backend: BackendEntry;
}

interface RouteFacts {
  readonly tenant: string;
  readonly name: string;
  readonly gateway: string;
  readonly digest: string;
  /** Path of the endpoint: of an MCP route its path + `/mcp`; of others its path, below which everything is theirs. */
  readonly endpoint: string;
  /** What a request at the endpoint must also be like. */
  readonly condition: MatchCondition;
  /** What happens when a data plane cannot enforce its policies: the write is refused, or that data plane denies. */
  readonly unenforceable: 'refuse' | 'restrict';
  readonly authentication: AuthenticationTable;
  /** Of a federated route without the rules on members' backends: these stand with each member. */
  readonly authorization: AuthorizationTable;
  /** How many calls may come; each of them counts. */
  readonly limits: readonly LimitEntry[];
  /** What one call may take. */
  readonly bounds: CallBounds;
  /** What is done to requests and answers on their way. */
  readonly forwarding: Forwarding;
}

export interface McpRoute {
  readonly virtualServer: string;
  /** What sessions belong to: the backend, or a federation, which keeps them while its members change. */
  readonly sessionKey: string;
  /** The only member, or the first one of a federation. */
  readonly member: MemberEntry;
  /** Null when the only member is presented as it is. */
  readonly federation: Federation | null;
}

export interface MemberEntry {
  readonly backend: BackendEntry;
}
