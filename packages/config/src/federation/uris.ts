import type { FederatedMember, Federation, MemberUri } from './federation.ts';

/**
 * A member's URI, or URI template, as it is presented: `<key>+<uri>`. Schemes by which clients tell what a resource is
 * stay in front: `ui://x` becomes `ui://<key>/x`. Only text is put in front, so that expanding a template and wrapping
 * may come in either order. URIs of an only member without prefix are presented as they are.
 */
export function wrapUri(member: FederatedMember, uri: string): string {
  if (!member.wrapsUris) return uri;
  for (const scheme of keptSchemes) {
    if (uri.startsWith(scheme)) return `${scheme}${member.key}/${uri.slice(scheme.length)}`;
  }
  return `${member.key}+${uri}`;
}

/** The inverse of {@link wrapUri}: undefined when the URI leads to no member, or to one that does not present it. */
export function unwrapUri(federation: Federation, presented: string): MemberUri | undefined {
  const found = unwrap(federation, presented) ?? asItIs(federation, presented);
  return found?.member.presentsUri(found.uri) === true ? found : undefined;
}

function unwrap(federation: Federation, presented: string): MemberUri | undefined {
  const scheme = keptSchemes.find((kept) => presented.startsWith(kept)) ?? '';
  const separator = scheme === '' ? '+' : '/';
  const end = presented.indexOf(separator, scheme.length);
  const member = end < 0 ? undefined : federation.byKey.get(presented.slice(scheme.length, end));
  const uri = scheme + presented.slice(end + 1);
  // A resource has one URI only: what is denied by one must not be there by another, such as `<key>+ui://x`.
  return member?.wrapsUris === true && wrapUri(member, uri) === presented ? { member, uri } : undefined;
}

function asItIs({ unprefixed }: Federation, uri: string): MemberUri | undefined {
  const [member] = unprefixed;
  return member === undefined || member.wrapsUris ? undefined : { member, uri };
}

/** Of MCP Apps and of skills. */
const keptSchemes = ['ui://', 'skill://'] as const;
