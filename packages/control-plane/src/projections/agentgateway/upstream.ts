import { type BackendEntry, digestOf, type RouteEntry } from '@signalbox/config';

/** Where a route leads to, as agentgateway connects. */
export interface Upstream {
  readonly backend: BackendEntry;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
}

/** The backend of a route; of an MCP route its only one. */
export function backendOf(route: RouteEntry): BackendEntry {
  return route.kind === 'mcp' ? route.mcp.member.backend : route.backend;
}

export function upstreamOf(backend: BackendEntry): Upstream {
  const url = new URL(backend.url);
  const tls = url.protocol === 'https:';
  return {
    ...{ backend, tls, path: url.pathname },
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
  };
}

/**
 * Key of the MCP server of a route. Sessions stay with the server that they began with, for as long as it has the same
 * name: so a changed backend is another server, and sessions with the old one end.
 */
export function mcpKey(route: RouteEntry): string {
  return `${route.tenant}/${route.name}/${digestOf(backendOf(route).key)}`;
}
