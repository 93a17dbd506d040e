import { isIP } from 'node:net';
import type { McpRouteEntry } from '@signalbox/config';

/** A server that Envoy connects to: an MCP server, or one with a key set. */
export interface Upstream {
  /** Of its cluster. Another address has another name, so a change never redirects calls that are under way. */
  readonly cluster: string;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** The host is an address, not a name. */
  readonly literal: boolean;
}

/** The server of a route's backend. */
export function backendUpstream({ mcp }: McpRouteEntry): Upstream {
  const { key, url } = mcp.member.backend;
  return upstreamAt(key, new URL(url));
}

/** The server of a remote key set. */
export function keySetUpstream(uri: string): Upstream {
  const url = new URL(uri);
  return upstreamAt(`keys/${url.protocol === 'https:' ? 'tls' : 'plain'}/${url.host}`, url);
}

function upstreamAt(cluster: string, url: URL): Upstream {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const tls = url.protocol === 'https:';
  return { cluster, host, port: url.port === '' ? (tls ? 443 : 80) : Number(url.port), tls, literal: isIP(host) !== 0 };
}
