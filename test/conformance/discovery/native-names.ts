import { discoveryName, typeUrlOf } from '@signalbox/config';

export const backendType = typeUrlOf('Backend');
export const manifestType = typeUrlOf('Manifest');
export const routeType = typeUrlOf('Route');
export const tenantType = typeUrlOf('Tenant');

/** Name of a backend on the wire; `*` is the glob of the tenant's. */
export function backendName(tenant: string, name: string): string {
  return discoveryName({ kind: 'Backend', scope: tenant, name });
}
