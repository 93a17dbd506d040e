import type { Server, TlsOptions } from 'node:tls';
import type { TlsFiles } from '@signalbox/runtime';

/** @param offersHttp2 beside HTTP/1.1. */
export function secureOptions(tls: TlsFiles, handshakeTimeoutMs: number, offersHttp2: boolean): TlsOptions {
  return {
    ...pairOf(tls.value),
    minVersion: 'TLSv1.2',
    ALPNProtocols: offersHttp2 ? ['h2', 'http/1.1'] : ['http/1.1'],
    handshakeTimeout: handshakeTimeoutMs,
  };
}

/** From now on the server's certificate is that of the files, until it closes. */
export function followFiles(server: Server, tls: TlsFiles): void {
  const renewal = tls.onChange((material) => server.setSecureContext(pairOf(material)));
  server.on('close', () => renewal[Symbol.dispose]());
  server.on('tlsClientError', (_error, socket) => socket.destroy());
}

function pairOf({ cert, key }: TlsFiles['value']) {
  return { ...(cert && { cert }), ...(key && { key }) };
}
