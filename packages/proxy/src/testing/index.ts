// Parts of the proxy on their own, for simulations.
export { Activation } from '../discovery/activation.ts';
export type { LastGoodSet } from '../discovery/last-good-format.ts';
export { Subscriber } from '../discovery/subscriber.ts';
export { TenantDemand } from '../discovery/tenant-demand.ts';
export { CurrentTable } from '../table/current-table.ts';
export { TimeSlice } from '../table/time-slice.ts';
export { operatorSet, tenantSet } from './config-sets.ts';
