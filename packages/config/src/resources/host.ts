import { quote } from './name.ts';

const label = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const dnsName = new RegExp(`^${label}(?:\\.${label})*$`);
const ipv6 = /^\[[0-9A-Fa-f:.]{2,45}\]$/;

/** Why a text is no host name (RFC 9110 `uri-host` without port): a DNS name, an IPv4 address, or [IPv6]. */
export function hostFault(text: string): string | undefined {
  if (text.length <= 253 && (dnsName.test(text) || ipv6.test(text))) return undefined;
  if (text.includes('*')) return `${quote(text)}: wildcards are not supported; list every host name`;
  if (/:\d+$/.test(text)) return `${quote(text)}: write the host name without port`;
  return `${quote(text)} is not a host name: use a DNS name, an IPv4 address, or an IPv6 address in brackets`;
}

/** Why a text is no browser origin as RFC 6454 serialises it: scheme://host[:port], without the default port. */
export function originFault(text: string): string | undefined {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(\[[^\]]*\]|[^:/]*)(?::(\d{1,5}))?$/.exec(text.toLowerCase());
  const [, scheme, host, port] = match ?? [];
  if (scheme === undefined || host === undefined || hostFault(host) !== undefined) {
    return `${quote(text)} is not an origin: use scheme://host or scheme://host:port`;
  }
  if (port !== undefined && Number(port) === defaultPorts[scheme]) {
    return `${quote(text)}: browsers leave out the default port; do so here`;
  }
  return undefined;
}

const defaultPorts: Readonly<Record<string, number>> = { http: 80, https: 443 };
