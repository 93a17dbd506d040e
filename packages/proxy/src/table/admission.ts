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
  /** Tells about the tables that come and go from now on. */
  observe(observer: TableObserver): void;
}

/** What is told about the tables that come and go. */
export interface TableObserver {
  /** A table became the present one, synchronously after the assignment. `previous` is undefined for the first. */
  onSwap(previous: RoutingTable | undefined, next: RoutingTable): void;
  /** The last request that was pinned to a superseded table has ended. */
  onRetired(table: RoutingTable): void;
}
