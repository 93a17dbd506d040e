import type { RoutingTable } from '@signalbox/config';

/** The table a request was admitted under. It holds it to the end: no request runs under two tables. */
export interface Admission extends Disposable {
  readonly table: RoutingTable;
}

/** The node's present table. */
export interface TableSource {
  /** Pins the present table: `using admission = current.admit()`. Undefined while the node has no table at all. */
  admit(): Admission | undefined;
  /** The present table, for looking only. */
  readonly value: RoutingTable | undefined;
}
