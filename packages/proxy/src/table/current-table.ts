import type { RoutingTable } from '@signalbox/config';
import type { Admission, TableObserver, TableSource } from './admission.ts';

/**
 * The one mutable reference of the process: the table that new requests are admitted under. Requests keep the table
 * they were admitted under; this class only counts them, so that the end of a superseded table can be seen.
 */
export class CurrentTable implements TableSource {
  #present: CountedTable | undefined;
  #superseded = 0;
  readonly #observers: TableObserver[] = [];

  get value(): RoutingTable | undefined {
    return this.#present?.table;
  }

  /** How many superseded tables still have requests. */
  get superseded(): number {
    return this.#superseded;
  }

  admit(): Admission | undefined {
    const present = this.#present;
    return present && new CountedAdmission(present);
  }

  observe(observer: TableObserver): void {
    this.#observers.push(observer);
  }

  /** Makes `next` the present table. It must be complete: requests see it from this call on. */
  swap(next: RoutingTable): void {
    const previous = this.#present;
    this.#present = new CountedTable(next, (ended) => this.#retire(ended));
    if (previous) this.#superseded += 1;
    for (const observer of this.#observers) observer.onSwap(previous?.table, next);
    previous?.supersede();
  }

  #retire(ended: RoutingTable): void {
    this.#superseded -= 1;
    for (const observer of this.#observers) observer.onRetired(ended);
  }
}

/** A table and the number of requests pinned to it. */
class CountedTable {
  readonly table: RoutingTable;
  readonly #onRetired: (table: RoutingTable) => void;
  #pins = 0;
  #superseded = false;

  constructor(table: RoutingTable, onRetired: (table: RoutingTable) => void) {
    this.table = table;
    this.#onRetired = onRetired;
  }

  pin(): void {
    this.#pins += 1;
  }

  unpin(): void {
    this.#pins -= 1;
    if (this.#superseded && this.#pins === 0) this.#onRetired(this.table);
  }

  supersede(): void {
    this.#superseded = true;
    if (this.#pins === 0) this.#onRetired(this.table);
  }
}

/** One request's pin. Disposing it twice counts once. */
class CountedAdmission implements Admission {
  readonly table: RoutingTable;
  #counted: CountedTable | undefined;

  constructor(counted: CountedTable) {
    this.table = counted.table;
    this.#counted = counted;
    counted.pin();
  }

  [Symbol.dispose](): void {
    const counted = this.#counted;
    this.#counted = undefined;
    counted?.unpin();
  }
}
