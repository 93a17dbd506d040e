import {
  discoveryName,
  type Kind,
  kindOfTypeUrl,
  kinds,
  operatorScope,
  parseDiscoveryName,
  scopeOfKind,
  typeUrlOf,
} from '@signalbox/config';
import type { SubscriptionChange } from '@signalbox/xds';

const tenantKinds: readonly (Kind | 'Manifest')[] = [
  ...kinds.filter((kind) => scopeOfKind(kind) === 'tenant'),
  'Manifest',
];

/** What to subscribe to, of a type, to have the operator's set and those of some tenants. */
export function demandedNames(typeUrl: string, tenants: Iterable<string>): readonly string[] {
  const kind = kindOfTypeUrl(typeUrl);
  if (kind === undefined) return [];
  const isOperators = kind === 'Manifest' || scopeOfKind(kind) === 'operator';
  const isTenants = kind === 'Manifest' || scopeOfKind(kind) === 'tenant';
  return [...(isOperators ? [operatorScope] : []), ...(isTenants ? tenants : [])].map((scope) => glob(kind, scope));
}

/** What to ask for, to have some tenants from now on and others no more. Manifests come last: they close the sets. */
export function demandChanges(wanted: readonly string[], unwanted: readonly string[]): readonly SubscriptionChange[] {
  return tenantKinds.map((kind) => ({
    typeUrl: typeUrlOf(kind),
    subscribe: wanted.map((tenant) => glob(kind, tenant)),
    unsubscribe: unwanted.map((tenant) => glob(kind, tenant)),
  }));
}

/** Tenants of which removed names say that there is no Manifest, and so no set. */
export function absentTenants(removed: readonly string[]): readonly string[] {
  return removed.flatMap((name) => {
    const id = parseDiscoveryName(name);
    return id?.kind === 'Manifest' && id.name === '*' && id.scope !== operatorScope ? [id.scope] : [];
  });
}

function glob(kind: Kind | 'Manifest', scope: string): string {
  return discoveryName({ kind, scope, name: '*' });
}
