import { fromBinary } from '@bufbuild/protobuf';
import { type Snapshot, type StoredResource } from '@signalbox/config';
import { GatewaySchema } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { type Route, RouteSchema } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { type VirtualServer, VirtualServerSchema } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';

import type { Catalog } from './catalog.ts';

/** What is needed to tell of the servers of a tenant. */
export interface RegistrySource {
  readonly tenant: Snapshot;
  /** Where gateways are. */
  readonly operator: Snapshot;
  readonly changes: ReadonlyMap<string, ResourceChange>;
  /** By backend. */
  readonly catalogs: ReadonlyMap<string, Catalog>;
  /** Addresses of gateways as agents reach them, by name; of others the listener is told. */
  readonly gatewayUrls: ReadonlyMap<string, string>;
}

/** When a resource became what it is; by `<Kind>/<name>`. */
export interface ResourceChange {
  readonly revision: bigint;
  readonly at: Date;
}

/** A server as the MCP Registry's API tells of it: `ServerResponse` of its schema. */
export interface RegisteredServer {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly updatedAt: Date;
  readonly response: object;
}

/** What the Registry's own metadata stands under. */
const officialKey = 'io.modelcontextprotocol.registry/official';
const publisherKey = 'io.modelcontextprotocol.registry/publisher-provided';
/** Characters of a description in the Registry's schema. */
const descriptionLength = 100;

/**
 * Routes that lead to MCP as servers of a registry, by name: `<tenant>/<route>`. Only the newest version of each can be
 * connected to, so it is the only one that there is; it is another one whenever the configuration of the server changes or what its
 * members have.
 */
export function registeredServers(source: RegistrySource): readonly RegisteredServer[] {
  const routes = [...source.tenant.resources.values()].filter(({ kind }) => kind === 'Route');
  return routes.flatMap((stored) => registeredServer(source, stored));
}

function registeredServer(source: RegistrySource, stored: StoredResource): readonly RegisteredServer[] {
  const { tenant, catalogs } = source;
  const route = fromBinary(RouteSchema, stored.body);
  const url = endpointOf(source, route);
  if (route.destination.case !== 'mcp' || url === undefined) return [];
  const { virtualServer: serverName } = route.destination.value;
  const behind = tenant.resources.get(`VirtualServer/${serverName}`);
  if (!behind) return [];
  const virtualServer = fromBinary(VirtualServerSchema, behind.body);
  const backends = virtualServer.members.map(({ backend }) => backend);
  const known = backends.flatMap((backend) => catalogs.get(backend) ?? []);
  const changes = [
    `Route/${stored.name}`,
    `VirtualServer/${serverName}`,
    ...backends.map((name) => `Backend/${name}`),
  ].flatMap((key) => source.changes.get(key) ?? []);
  const name = `${tenant.scope}/${stored.name}`;
  const version = versionOf(changes, known);
  const updatedAt = latest([...changes.map(({ at }) => at), ...known.flatMap(({ changedAt }) => changedAt ?? [])]);
  const description = describe(tenant.scope, virtualServer);
  const server = {
    name,
    description,
    title: stored.name,
    version,
    remotes: [remoteAt(url)],
    _meta: { [publisherKey]: about(virtualServer, known) },
  };
  const official = { status: 'active', statusChangedAt: updatedAt, publishedAt: updatedAt, updatedAt, isLatest: true };
  return [{ name, version, description, updatedAt, response: { server, _meta: { [officialKey]: official } } }];
}

/** Sorts as semantic versions do: first by configuration, then by what members have. */
function versionOf(changes: readonly ResourceChange[], known: readonly Catalog[]): string {
  const revision = changes.reduce((most, change) => (change.revision > most ? change.revision : most), 0n);
  return `1.${revision}.${known.reduce((sum, { version }) => sum + version, 0n)}`;
}

function latest(times: readonly Date[]): Date {
  return new Date(Math.max(0, ...times.map((time) => time.getTime())));
}

function describe(tenant: string, { instructions, members }: VirtualServer): string {
  const names = members.map(({ backend }) => backend).join(', ');
  const text = instructions?.text.replaceAll(/\s+/g, ' ').trim() || `MCP server of ${tenant}: ${names}`;
  const characters = Array.from(text);
  return characters.length > descriptionLength ? `${characters.slice(0, descriptionLength - 1).join('')}…` : text;
}

function remoteAt(url: string) {
  const description = 'Bearer and an API key or token that the route accepts';
  return {
    type: 'streamable-http',
    url,
    headers: [{ name: 'Authorization', description, isRequired: false, isSecret: true }],
  };
}

function about({ toolSearch }: VirtualServer, known: readonly Catalog[]) {
  const sum = (count: (catalog: Catalog) => number) => known.reduce((total, catalog) => total + count(catalog), 0);
  return {
    ...{ tools: sum(({ counts }) => counts.tools), prompts: sum(({ counts }) => counts.prompts) },
    ...{ resources: sum(({ counts }) => counts.resources), toolTokens: sum(({ toolTokens }) => toolTokens) },
    toolSearch: toolSearch !== undefined,
  };
}

/** Where agents reach a route; undefined if its gateway is gone. */
function endpointOf({ operator, gatewayUrls }: RegistrySource, { gateway, match }: Route): string | undefined {
  const stored = operator.resources.get(`Gateway/${gateway}`);
  const listener = stored && fromBinary(GatewaySchema, stored.body).listeners[0];
  if (!listener) return undefined;
  const host = match?.hostnames[0] ?? listener.hostnames[0] ?? '127.0.0.1';
  const base = gatewayUrls.get(gateway) ?? `http://${host}:${listener.port}`;
  return `${base.replace(/\/+$/, '')}${match?.path ?? ''}/mcp`;
}

/** What a list is asked for. */
export interface RegistryQuery {
  readonly search?: string | undefined;
  readonly version?: string | undefined;
  readonly updatedSince?: Date | undefined;
  /** Servers behind this name. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** A page of servers in the order of names. */
export function pageOf(
  servers: readonly RegisteredServer[],
  { search = '', version, updatedSince, after = '', limit }: RegistryQuery,
): { readonly servers: readonly RegisteredServer[]; readonly next: string | undefined } {
  const wanted = search.toLowerCase();
  const matching = servers.filter(({ name, description, version: own, updatedAt }) => {
    if (name <= after || (version !== undefined && version !== 'latest' && version !== own)) return false;
    if (updatedSince !== undefined && updatedAt < updatedSince) return false;
    return name.toLowerCase().includes(wanted) || description.toLowerCase().includes(wanted);
  });
  const sorted = matching.sort((a, b) => (a.name < b.name ? -1 : 1));
  const page = sorted.slice(0, limit);
  return { servers: page, next: sorted.length > limit ? page.at(-1)?.name : undefined };
}
