import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls';
import type { ClientCertificate, ClientCertificates } from './client-certificates.ts';
import type { UpstreamPeer } from './upstream.ts';

/**
 * How TLS is spoken to a backend, as options of a connection. The context is made once, and again when the certificate
 * that is shown has been replaced.
 * @returns a function that throws when the certificate is not there or cannot be used.
 */
export function upstreamTls(
  peer: UpstreamPeer | undefined,
  certificates: ClientCertificates | undefined,
): () => ConnectionOptions {
  const tls = peer?.tls;
  if (!tls) return plainOptions;
  const { tenant } = peer;
  const named = tls.hostname === '' ? {} : { servername: tls.hostname };
  let made: { readonly context: SecureContext; readonly shown: ClientCertificate | undefined } | undefined;
  return () => {
    const shown = tls.clientCertificate === '' ? undefined : certificateOf(certificates, tenant, tls.clientCertificate);
    if (made?.shown !== shown || made === undefined) {
      const ca = tls.caCertificates === '' ? {} : { ca: tls.caCertificates };
      const own = shown && { cert: shown.cert, key: shown.key };
      made = { context: createSecureContext({ ...ca, ...own, minVersion: 'TLSv1.2' }), shown };
    }
    return { ...named, secureContext: made.context, rejectUnauthorized: tls.verify };
  };
}

const plainOptions = (): ConnectionOptions => noOptions;
const noOptions: ConnectionOptions = {};

function certificateOf(certificates: ClientCertificates | undefined, tenant: string, name: string): ClientCertificate {
  const found = certificates?.find(tenant, name);
  if (!found) throw new Error(`the client certificate ${tenant}/${name} is not on this node`);
  return found;
}
