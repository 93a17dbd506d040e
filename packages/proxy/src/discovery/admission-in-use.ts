import type { RoutingTable } from '@signalbox/config';
import type { Admission } from '../table/admission.ts';
import type { TenantDemand } from './tenant-demand.ts';

/** An admission whose request uses a tenant: the tenant is held for as long as the table is. Disposing it twice counts once. */
export class AdmissionInUse implements Admission {
  readonly table: RoutingTable;
  readonly #admission: Admission;
  readonly #demand: Pick<TenantDemand, 'release'>;
  readonly #tenant: string;
  #isOver = false;

  constructor(admission: Admission, demand: Pick<TenantDemand, 'use' | 'release'>, tenant: string) {
    this.table = admission.table;
    this.#admission = admission;
    this.#demand = demand;
    this.#tenant = tenant;
    demand.use(tenant);
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#demand.release(this.#tenant);
    this.#admission[Symbol.dispose]();
  }
}
