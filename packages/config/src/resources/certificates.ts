import { X509Certificate } from 'node:crypto';

const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/**
 * Why a text is not certificates in PEM and nothing else. A private key has no place here, so its text is not repeated.
 * Reads no clock: whether a certificate has expired is for whoever uses it.
 */
export function certificatesFault(text: string): string | undefined {
  if (/PRIVATE KEY/.test(text)) return 'contains a private key; only certificates belong here';
  const blocks = text.match(block) ?? [];
  if (blocks.length === 0 || text.replaceAll(block, '').trim() !== '') {
    return 'must be certificates in PEM and nothing else';
  }
  const bad = blocks.findIndex((pem) => !isCertificate(pem));
  return bad === -1 ? undefined : `cannot be read: certificate ${bad + 1} of ${blocks.length}`;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
