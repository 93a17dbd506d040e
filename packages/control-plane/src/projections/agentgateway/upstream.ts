import { digestOf, type RouteEntry } from '@signalbox/config';

/** Where a route leads to, as agentgateway connects. */
export interface Upstream {
  /** Key of the backend with the address. */
  readonly serverKey: string;
  /** Key of the backend that is an MCP server there. Another address or path has another key. */
  readonly mcpKey: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
}

/**
 * Sessions stay with the server that they began with, for as long as the backend has the same name: so a changed server
 * is another backend, and sessions with the old one end.
 */
export function upstreamOf({ tenant, name, mcp }: RouteEntry): Upstream {
  const { key: serverKey, url: text } = mcp.member.backend;
  const url = new URL(text);
  const tls = url.protocol === 'https:';
  return {
    serverKey,
    mcpKey: `${tenant}/${name}/${digestOf(serverKey)}`,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
    tls,
    path: url.pathname,
  };
}
