import type { Server, TlsOptions } from 'node:tls';
import type { TlsFiles } from '@signalbox/runtime';

/** HTTP/1.1 alone is offered: that is what the codecs speak. */
export function secureOptions(tls: TlsFiles, handshakeTimeoutMs: number | undefined): TlsOptions {
  return {
    ...pairOf(tls.value),
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    ...(handshakeTimeoutMs !== undefined && { handshakeTimeout: handshakeTimeoutMs }),
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
