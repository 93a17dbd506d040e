import type { RoutingTable } from '@signalbox/config';

/** Revision of a tenant as events hold it; 0 when the table does not have the tenant. */
export function revisionIn(table: RoutingTable | undefined, tenant: string): number {
  return Number(table?.tenants.get(tenant)?.revision ?? 0n);
}
