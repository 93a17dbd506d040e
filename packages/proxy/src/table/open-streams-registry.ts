import type { RoutingTable } from '@signalbox/config';
import { type Clock, type Logger, notRostered, Roster, type Rostered } from '@signalbox/runtime';
import { OpenCalls } from './open-calls.ts';
import type { OpenStream, OpenStreams } from './open-streams.ts';
import { TimeSlice } from './time-slice.ts';

export interface OpenStreamsOptions {
  /** Most streams at a time; one more is refused. */
  readonly maxStreams: number;
  /** Longest time, in milliseconds, that re-checks hold up the event loop at once. */
  readonly sliceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when a stream is refused because the bound is reached. */
  readonly onRefused: () => void;
}

/** How often streams are told while a drain is spread over a window. */
const drainTickMs = 20;

/**
 * Every open stream, grouped by the table it saw last.
 *
 * Checks take the streams of the oldest table first and bring each straight to the newest: several swaps in quick
 * succession cost a stream one check, and none of them is passed over however often tables are swapped.
 */
export class OpenStreamsRegistry implements OpenStreams {
  readonly calls: OpenCalls;
  readonly #options: OpenStreamsOptions;
  /** Oldest table first; the last group has seen the present table. Only the last one may be empty. */
  #groups: Group[] = [];
  #size = 0;
  #checking: Promise<void> | undefined;
  #draining = false;

  constructor(options: OpenStreamsOptions) {
    this.#options = options;
    this.calls = new OpenCalls(options);
  }

  get size(): number {
    return this.#size;
  }

  add(stream: OpenStream, admitted: RoutingTable): Disposable | undefined {
    if (this.#size >= this.#options.maxStreams) {
      this.#options.onRefused();
      return undefined;
    }
    const group = this.#groupOf(admitted);
    const entry: Entry = { stream, group, told: false, place: notRostered };
    group.entries.add(entry);
    this.#size += 1;
    if (group !== this.#groups.at(-1)) this.#check();
    if (this.#draining) queueMicrotask(() => group.entries.has(entry) && this.#tellDrain(entry));
    return { [Symbol.dispose]: () => this.#remove(entry) };
  }

  /** A table became the present one: every stream and call will be checked against it, or against one that is newer still. */
  swapped(next: RoutingTable): void {
    this.#groups.push({ table: next, entries: new Roster() });
    this.#check();
    this.calls.swapped(next);
  }

  /** Resolves when every stream and call has seen the present table. */
  async settled(): Promise<void> {
    while (this.#checking) await this.#checking;
    await this.calls.settled();
  }

  /**
   * Tells every stream that the node is stopping, evenly spread over the window so that their clients do not all come
   * back at once; returns when all are told. At the signal the rest is told at once. A stream that opens from now on
   * is told right after.
   */
  async drain(windowMs: number, signal: AbortSignal): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    const { clock } = this.#options;
    const end = clock.monotonic() + windowMs;
    for (;;) {
      const waiting = this.#groups.flatMap((group) => [...group.entries]).filter((entry) => !entry.told);
      const ticksLeft = signal.aborted ? 1 : Math.max(1, Math.ceil((end - clock.monotonic()) / drainTickMs));
      for (const entry of waiting.slice(0, Math.ceil(waiting.length / ticksLeft))) this.#tellDrain(entry);
      if (ticksLeft === 1 || this.#size === 0) return;
      await clock.sleep(drainTickMs, signal).catch(() => undefined);
    }
  }

  /** The group that saw `table` last. A table that was superseded and forgotten comes first: it is the oldest. */
  #groupOf(table: RoutingTable): Group {
    const known = this.#groups.find((group) => group.table === table);
    if (known) return known;
    const group: Group = { table, entries: new Roster() };
    this.#groups.unshift(group);
    return group;
  }

  #remove(entry: Entry): void {
    if (entry.group.entries.delete(entry)) this.#size -= 1;
  }

  #check(): void {
    this.#checking ??= this.#checkAll();
  }

  async #checkAll(): Promise<void> {
    const slice = new TimeSlice(this.#options.clock, this.#options.sliceMs);
    await slice.pause();
    while (this.#groups.length > 1) {
      const oldest = this.#groups[0] as Group;
      for (let entry = oldest.entries.last; entry; entry = oldest.entries.last) {
        this.#bringToPresent(entry);
        if (slice.spent) await slice.pause();
      }
      this.#groups = this.#groups.filter((group) => group !== oldest);
    }
    this.#checking = undefined;
  }

  #bringToPresent(entry: Entry): void {
    const previous = entry.group;
    const present = this.#groups.at(-1) as Group;
    previous.entries.delete(entry);
    entry.group = present;
    present.entries.add(entry);
    try {
      entry.stream.onSwap(previous.table, present.table);
    } catch (error) {
      this.#options.logger.error('an open stream failed its check after a swap', { error: String(error) });
    }
  }

  #tellDrain(entry: Entry): void {
    if (entry.told) return;
    entry.told = true;
    try {
      entry.stream.onDrain();
    } catch (error) {
      this.#options.logger.error('an open stream failed to drain', { error: String(error) });
    }
  }
}

/** The streams that saw the same table last. */
interface Group {
  readonly table: RoutingTable;
  readonly entries: Roster<Entry>;
}

interface Entry extends Rostered {
  readonly stream: OpenStream;
  group: Group;
  told: boolean;
}
