/**
 * The kinds of resources, in dependency order: a kind refers only to kinds before it. Discovery sends them in this
 * order, so a route never arrives before what it leads to.
 */
export const kinds = ['Gateway', 'Tenant', 'Backend', 'VirtualServer', 'Route', 'Policy'] as const;
export type Kind = (typeof kinds)[number];

/** The scope of Gateway and Tenant. No tenant can have this name. */
export const operatorScope = 'operator';

/** Whether resources of a kind belong to the operator or to a tenant. */
export function scopeOfKind(kind: Kind): 'operator' | 'tenant' {
  return kind === 'Gateway' || kind === 'Tenant' ? 'operator' : 'tenant';
}

export function isKind(text: string): text is Kind {
  return kindNames.has(text);
}

const kindNames: ReadonlySet<string> = new Set(kinds);

const typePrefix = 'type.googleapis.com/signalbox.config.v1.';
const namePrefix = 'xdstp://signalbox/signalbox.config.v1.';

/** Type URL of a kind on the discovery stream; Manifest is a type but not a kind that people write. */
export function typeUrlOf(kind: Kind | 'Manifest'): string {
  return typePrefix + kind;
}

export function kindOfTypeUrl(typeUrl: string): Kind | 'Manifest' | undefined {
  if (!typeUrl.startsWith(typePrefix)) return undefined;
  const name = typeUrl.slice(typePrefix.length);
  return name === 'Manifest' || isKind(name) ? name : undefined;
}

/** What a discovery resource name says. */
export interface ResourceId {
  readonly kind: Kind | 'Manifest';
  /** Tenant name, or `operator`. */
  readonly scope: string;
  readonly name: string;
}

/** Name of a resource on the discovery stream: `xdstp://signalbox/signalbox.config.v1.<Kind>/<scope>/<name>`. */
export function discoveryName(id: ResourceId): string {
  return `${namePrefix}${id.kind}/${id.scope}/${id.name}`;
}

/** The inverse of {@link discoveryName}; undefined for any other text. */
export function parseDiscoveryName(text: string): ResourceId | undefined {
  if (!text.startsWith(namePrefix)) return undefined;
  const [kind, scope, name, ...rest] = text.slice(namePrefix.length).split('/');
  if (!kind || !scope || !name || rest.length > 0) return undefined;
  return kind === 'Manifest' || isKind(kind) ? { kind, scope, name } : undefined;
}
