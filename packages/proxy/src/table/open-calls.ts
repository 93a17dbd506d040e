import type { RoutingTable } from '@signalbox/config';
import { type Clock, type Logger, Roster, type Rostered } from '@signalbox/runtime';
import { TimeSlice } from './time-slice.ts';

/** A call on its way, which may outlive the table it was admitted under. Its route is pinned, its permission is not. */
export interface OpenCall extends Rostered {
  /** After each swap: ends itself when it is no longer allowed. */
  recheck(next: RoutingTable): void;
}

export interface OpenCallsOptions {
  /** Longest time, in milliseconds, that re-checks hold up the event loop at once. */
  readonly sliceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Every call that waits for its answer, or for the rest of it. There are no more than exchanges of clients. */
export class OpenCalls {
  readonly #options: OpenCallsOptions;
  readonly #open = new Roster<OpenCall>();
  #present: RoutingTable | undefined;
  /** A call came that saw another table than the present one. */
  #isBehind = false;
  #checking: Promise<void> | undefined;

  constructor(options: OpenCallsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /** @param admitted the table that its permission was decided under, which may be superseded by now. */
  begin(call: OpenCall, admitted: RoutingTable): void {
    this.#open.add(call);
    if (admitted !== this.#present && this.#present !== undefined) this.#check();
  }

  end(call: OpenCall): void {
    this.#open.delete(call);
  }

  /** A table became the present one: every call will be checked against it, or against one that is newer still. */
  swapped(next: RoutingTable): void {
    this.#present = next;
    if (this.#open.size > 0) this.#check();
  }

  /** Resolves when every call has seen the present table. */
  async settled(): Promise<void> {
    while (this.#checking) await this.#checking;
  }

  #check(): void {
    this.#isBehind = true;
    this.#checking ??= this.#checkAll();
  }

  async #checkAll(): Promise<void> {
    const slice = new TimeSlice(this.#options.clock, this.#options.sliceMs);
    await slice.pause();
    while (this.#isBehind) {
      this.#isBehind = false;
      for (const call of this.#open) {
        this.#bringToPresent(call);
        if (slice.spent) await slice.pause();
      }
    }
    this.#checking = undefined;
  }

  #bringToPresent(call: OpenCall): void {
    try {
      call.recheck(this.#present as RoutingTable);
    } catch (error) {
      this.#options.logger.error('an open call failed its check after a swap', { error: String(error) });
    }
  }
}
