import { SecretSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import type { EnvoyOptions } from './options.ts';
import { resource } from './pack.ts';
import type { Upstream } from './upstream.ts';

/** Name of the secret of a tenant's certificate. */
export function secretName(tenant: string, certificate: string): string {
  return `${tenant}/${certificate}`;
}

/**
 * SDS: where on the machine of Envoy a certificate lies that a backend is shown. The key is on no stream; Envoy reads the
 * files again when their folder is replaced.
 */
export function secretResources(upstreams: readonly Upstream[], options: EnvoyOptions): readonly PlainResource[] {
  const folders = new Map<string, string>();
  for (const { tenant, ownTls } of upstreams) {
    const certificate = ownTls?.clientCertificate ?? '';
    if (certificate === '') continue;
    folders.set(secretName(tenant, certificate), `${options.certificatesFolder}/${tenant}/${certificate}`);
  }
  return [...folders].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, folder]) => secretResource(name, folder));
}

function secretResource(name: string, folder: string): PlainResource {
  const file = (value: string) => ({ specifier: { case: 'filename' as const, value } });
  const certificate = {
    certificateChain: file(`${folder}/tls.crt`),
    privateKey: file(`${folder}/tls.key`),
    watchedDirectory: { path: folder },
  };
  return resource(SecretSchema, name, { name, type: { case: 'tlsCertificate', value: certificate } });
}
