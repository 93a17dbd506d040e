import { isIP } from 'node:net';
import type { BackendEntry, ConnectionEntry, RouteEntry, UpstreamTlsEntry } from '@signalbox/config';

/** A server that Envoy connects to: a backend, or one with a key set. */
export interface Upstream {
  /** Of its cluster. Another address has another name, so a change never redirects calls that are under way. */
  readonly cluster: string;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** The host is an address, not a name. */
  readonly literal: boolean;
  /** HTTP/2, with prior knowledge where there is no TLS. */
  readonly http2: boolean;
  /** The tenant whose certificates it may be shown. */
  readonly tenant: string;
  /** What differs from TLS by the host's name and the system's authorities. */
  readonly ownTls: UpstreamTlsEntry | null;
  readonly connection: ConnectionEntry;
}

/** The backend of a route. */
export function backendOf(route: RouteEntry): BackendEntry {
  return route.kind === 'mcp' ? route.mcp.member.backend : route.backend;
}

/** The server of a route's backend. */
export function backendUpstream(route: RouteEntry): Upstream {
  return upstreamOf(backendOf(route));
}

/** The backends of a route: those of all its members. */
export function backendsOf(route: RouteEntry): readonly BackendEntry[] {
  const federation = route.kind === 'mcp' ? route.mcp.federation : null;
  return federation?.members.map(({ backend }) => backend) ?? [backendOf(route)];
}

export function upstreamOf({ key, url, http, tenant, tls: ownTls, connection }: BackendEntry): Upstream {
  return { ...upstreamAt(key, new URL(url)), http2: http === 'http2', tenant, ownTls, connection };
}

/** The server of a remote key set. */
export function keySetUpstream(uri: string): Upstream {
  const url = new URL(uri);
  return upstreamAt(`keys/${url.protocol === 'https:' ? 'tls' : 'plain'}/${url.host}`, url);
}

function upstreamAt(cluster: string, url: URL): Upstream {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  return {
    ...{ cluster, host, port, tls, literal: isIP(host) !== 0, http2: false, tenant: '', ownTls: null },
    connection: noBounds,
  };
}

const noBounds: ConnectionEntry = { connectMs: null, idleMs: null, maxConnections: null, maxPending: null };
