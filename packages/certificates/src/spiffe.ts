import type { X509Certificate } from 'node:crypto';

/** Which node a certificate names. */
export interface NodeName {
  readonly gateway: string;
  readonly node: string;
}

const name = '[A-Za-z0-9][A-Za-z0-9._-]{0,199}';
const domain = /^[a-z0-9][a-z0-9._-]{0,199}$/;
const pattern = new RegExp(`^spiffe://([a-z0-9][a-z0-9._-]{0,199})/gateway/(${name})/node/(${name})$`);

/** `spiffe://<trust domain>/gateway/<gateway>/node/<node>`. @throws Error if a part cannot be in one. */
export function nodeUri(trustDomain: string, { gateway, node }: NodeName): string {
  const uri = `spiffe://${trustDomain}/gateway/${gateway}/node/${node}`;
  if (!domain.test(trustDomain) || !pattern.test(uri)) {
    throw new Error(
      `"${trustDomain}", "${gateway}" and "${node}" make no SPIFFE ID: use letters, digits, ".", "_" and "-"`,
    );
  }
  return uri;
}

/** The node that a URI names within a trust domain; undefined if it is no such URI. */
export function parseNodeUri(uri: string, trustDomain: string): NodeName | undefined {
  const [, named, gateway = '', node = ''] = pattern.exec(uri) ?? [];
  return named === trustDomain ? { gateway, node } : undefined;
}

/**
 * URIs among the alternative names of a certificate. Node writes them as a list in which names with a comma or a quote
 * are quoted: such a one is none of ours, and makes the whole list one that is not read.
 */
export function subjectUris({ subjectAltName = '' }: Pick<X509Certificate, 'subjectAltName'>): readonly string[] {
  if (subjectAltName.includes('"')) return [];
  const names = subjectAltName.split(', ').filter((entry) => entry.startsWith('URI:'));
  return names.map((entry) => entry.slice('URI:'.length));
}
