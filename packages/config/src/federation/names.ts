import type { FederatedMember, Federation, MemberName, NameKind, NameMap } from './federation.ts';
import { isMetaTool } from './meta-tools.ts';

/** Between the prefix of a member and the name of its tool or prompt. */
export const nameDelimiter = '__';

/**
 * The name under which a member's tool or prompt is presented. Undefined when it is not: it is excluded, another one was
 * renamed to its name, it is too long, the gateway's own, or would lead to a member whose prefix it begins with.
 */
export function presentedName(
  federation: Federation,
  member: FederatedMember,
  kind: NameKind,
  name: string,
): string | undefined {
  const map = member[kind];
  if (!map.presents(name)) return undefined;
  const renamed = map.renamed.get(name);
  if (renamed === undefined && map.original.has(name)) return undefined;
  const presented = withPrefix(member.prefix, renamed ?? name);
  if (presented.length > federation.maxNameLength || isTaken(federation, kind, presented)) return undefined;
  return member.prefix === '' && prefixOwner(federation, presented) !== undefined ? undefined : presented;
}

/**
 * The members that a presented name may lead to, in the order of members: none, one, or, when several members without
 * prefix could have it, all of these; only their lists tell which do.
 */
export function resolveName(federation: Federation, kind: NameKind, presented: string): readonly MemberName[] {
  if (presented.length > federation.maxNameLength || isTaken(federation, kind, presented)) return [];
  const owner = prefixOwner(federation, presented);
  if (owner !== undefined) return named(owner, kind, presented.slice(owner.prefix.length + nameDelimiter.length));
  return federation.unprefixed.flatMap((member) => named(member, kind, presented));
}

/** The gateway's own tools are in the way of members' tools of the same names. */
function isTaken({ toolSearch }: Federation, kind: NameKind, presented: string): boolean {
  return toolSearch !== null && kind === 'tools' && isMetaTool(presented);
}

/** A name with the prefix of its member; as it is without one. */
export function withPrefix(prefix: string, name: string): string {
  return prefix === '' ? name : prefix + nameDelimiter + name;
}

/** The member whose prefix a name begins with. Prefixes hold no underscore, so the first delimiter ends one. */
function prefixOwner(federation: Federation, presented: string): FederatedMember | undefined {
  const end = presented.indexOf(nameDelimiter);
  return end < 0 ? undefined : federation.byPrefix.get(presented.slice(0, end));
}

function named(member: FederatedMember, kind: NameKind, ownName: string): readonly MemberName[] {
  const name = originalName(member[kind], ownName);
  return name === undefined || !member[kind].presents(name) ? [] : [{ member, name }];
}

function originalName(map: NameMap, ownName: string): string | undefined {
  return map.original.get(ownName) ?? (map.renamed.has(ownName) ? undefined : ownName);
}
