import type { Clock } from '@signalbox/runtime';

/** Something that may run out of time. One deadline at a time; fields belong to `Deadlines`. */
export interface Expiring {
  /** The deadline passed; it is disarmed by then. */
  onDeadline(): void;
  deadlineTick: number;
  deadlinePrevious: Expiring | undefined;
  deadlineNext: Expiring | undefined;
}

/** Value of `deadlineTick` while no deadline is armed. */
export const disarmed = -1;

/**
 * Many deadlines on one coarse timer: a wheel of slots, one tick each (Varghese and Lauck's hashed wheel). Arming and
 * disarming cost a few assignments. A deadline is met up to two ticks late, never early. The timer runs only while
 * something is armed.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #slots: (Expiring | undefined)[] = Array.from({ length: slotCount }, () => undefined);
  #timer: Disposable | undefined;
  #origin = 0;
  #tick = 0;
  #armed = 0;

  constructor(clock: Clock, tickMs = 50) {
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  /** Sets or replaces the deadline of `item`. */
  arm(item: Expiring, delayMs: number): void {
    if (item.deadlineTick !== disarmed) this.disarm(item);
    if (this.#armed === 0) this.#start();
    this.#armed += 1;
    item.deadlineTick = this.#tick + Math.ceil(delayMs / this.#tickMs) + 1;
    const slot = item.deadlineTick % slotCount;
    const first = this.#slots[slot];
    item.deadlineNext = first;
    if (first) first.deadlinePrevious = item;
    this.#slots[slot] = item;
  }

  disarm(item: Expiring): void {
    if (item.deadlineTick === disarmed) return;
    const { deadlinePrevious: previous, deadlineNext: next } = item;
    if (previous) previous.deadlineNext = next;
    else this.#slots[item.deadlineTick % slotCount] = next;
    if (next) next.deadlinePrevious = previous;
    item.deadlinePrevious = undefined;
    item.deadlineNext = undefined;
    item.deadlineTick = disarmed;
    this.#armed -= 1;
  }

  /** Coarse time in milliseconds, for comparing with itself: advances tick by tick while something is armed. */
  get nowMs(): number {
    return this.#tick * this.#tickMs;
  }

  /** How many deadlines are armed. */
  get armed(): number {
    return this.#armed;
  }

  #start(): void {
    // The timer of an earlier run may still be there: it stops itself at its next tick without anything armed.
    if (this.#timer) return;
    this.#origin = this.#clock.monotonic() - this.#tick * this.#tickMs;
    this.#timer = this.#clock.interval(this.#tickMs, () => this.#advance());
  }

  #advance(): void {
    const present = Math.floor((this.#clock.monotonic() - this.#origin) / this.#tickMs);
    // After a long stall one turn of the wheel reaches every slot.
    const from = Math.max(this.#tick + 1, present - slotCount + 1);
    this.#tick = Math.max(this.#tick, present);
    for (let tick = from; tick <= present; tick += 1) this.#expire(tick % slotCount, present);
    if (this.#armed > 0) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #expire(slot: number, present: number): void {
    let item = this.#slots[slot];
    const due: Expiring[] = [];
    for (; item; item = item.deadlineNext) if (item.deadlineTick <= present) due.push(item);
    // What one of them does may disarm another.
    for (const expired of due) {
      if (expired.deadlineTick === disarmed || expired.deadlineTick > present) continue;
      this.disarm(expired);
      expired.onDeadline();
    }
  }
}

const slotCount = 1_024;
