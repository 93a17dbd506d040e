import type { FederatedMember, Federation, MemberUri } from './federation.ts';

/**
 * A member's URI, or URI template, as it is presented: `<key>+<uri>`. Schemes by which clients tell what a resource is
 * stay in front: `ui://x` becomes `ui://<key>/x`. Only text is put in front, so that expanding a template and wrapping
 * may come in either order.
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
  const [only] = federation.members;
  const found =
    only !== undefined && !only.wrapsUris ? { member: only, uri: presented } : unwrap(federation, presented);
  return found?.member.presentsUri(found.uri) === true ? found : undefined;
}

function unwrap(federation: Federation, presented: string): MemberUri | undefined {
  const scheme = keptSchemes.find((kept) => presented.startsWith(kept)) ?? '';
  const separator = scheme === '' ? '+' : '/';
  const end = presented.indexOf(separator, scheme.length);
  const member = end < 0 ? undefined : federation.byKey.get(presented.slice(scheme.length, end));
  return member && { member, uri: scheme + presented.slice(end + 1) };
}

/** Of MCP Apps and of skills. */
const keptSchemes = ['ui://', 'skill://'] as const;
