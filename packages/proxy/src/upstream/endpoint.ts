import { isIP, Socket } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';

/** Where a connection goes. */
export interface Endpoint {
  readonly secure: boolean;
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Host header. */
  readonly authority: string;
  /** How TLS is spoken, asked for each connection: certificates may be replaced. @throws Error when it cannot be. */
  readonly tls: () => ConnectionOptions;
}

/** @throws TypeError for what is no origin of HTTP. */
export function endpointOf(origin: string, tls: Endpoint['tls']): Endpoint {
  const url = new URL(origin);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`not an HTTP origin: ${origin}`);
  const secure = url.protocol === 'https:';
  return {
    secure,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 443 : 80),
    authority: url.host,
    tls,
  };
}

/** A protocol that is agreed on in the handshake (ALPN, RFC 7301). */
export type AlpnProtocol = 'h2' | 'http/1.1';

/**
 * Begins an encrypted connection. Where it cannot even be tried, the socket tells of its error like of any other.
 * @param protocols that are offered, the best one first.
 */
export function connectTls({ host, port, tls }: Endpoint, protocols: readonly AlpnProtocol[]): Socket {
  // Addresses have no name to ask for (RFC 6066 §3).
  const named = isIP(host) === 0 ? { servername: host } : {};
  let own: ConnectionOptions;
  try {
    own = tls();
  } catch (error) {
    return new Socket().destroy(error instanceof Error ? error : new Error(String(error)));
  }
  const socket = connect({ host, port, ...named, ...own, ALPNProtocols: [...protocols], minVersion: 'TLSv1.2' });
  return socket.setNoDelay(true);
}
