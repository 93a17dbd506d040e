import { discoveryName, type Kind, typeUrlOf } from '@signalbox/config';

export const backendType = typeUrlOf('Backend');
export const manifestType = typeUrlOf('Manifest');

/** Name of a backend on the wire; `*` is the glob of the tenant's. */
export function backendName(tenant: string, name: string): string {
  return discoveryName({ kind: 'Backend', scope: tenant, name });
}

export function nativeName(kind: Kind, tenant: string, name: string): string {
  return discoveryName({ kind, scope: tenant, name });
}
