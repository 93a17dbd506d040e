import type { Clock, Counter, Logger, Metrics } from '@signalbox/runtime';
import type { OutcomeEvent } from './event.ts';

/** Takes events off the request's path. */
export interface Recorder {
  /** Synchronous, never throws, bounded: when the sink cannot keep up, the event is counted as lost. */
  record(event: OutcomeEvent): void;
  /** Writes what is queued; returns at the signal at the latest. */
  close(deadline: AbortSignal): Promise<void>;
}

/** Where events go. */
export interface Sink {
  /**
   * Resolves when the batch is stored. A rejection is retried with the same batch: what was stored of it must not
   * appear twice.
   */
  write(batch: readonly OutcomeEvent[]): Promise<void>;
  close(): Promise<void>;
}

export interface RecorderOptions {
  readonly sink: Sink;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Events that may wait for the sink; more are lost, and counted. */
  readonly maxQueued: number;
  /** Events written together at most. So many waiting are written at once, fewer after `flushMs`: a write has its price. */
  readonly batchSize?: number;
  /** Longest time that an event waits for others, in milliseconds. */
  readonly flushMs?: number;
  /** Time between attempts while the sink fails, in milliseconds. */
  readonly retryMs?: number;
}

/** A recorder that hands batches to a sink, one at a time, in order. */
export function createRecorder(options: RecorderOptions): Recorder {
  return new BatchingRecorder(options);
}

/**
 * A ring of events between requests and a sink.
 *
 * 1. `record` costs an assignment; encoding and writing happen in batches, from a timer.
 * 2. Events leave the ring only when the sink has stored them, so a failing sink loses nothing until the ring is full.
 * 3. What is lost is counted, and said at most once in `logEveryMs`.
 */
class BatchingRecorder implements Recorder {
  readonly #sink: Sink;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #batchSize: number;
  readonly #flushMs: number;
  readonly #retryMs: number;
  readonly #ring: (OutcomeEvent | undefined)[];
  readonly #recorded: Counter;
  readonly #lost: Counter;
  #first = 0;
  #count = 0;
  #timer: Disposable | undefined;
  #urgent = false;
  #writing: Promise<void> | undefined;
  #closed = false;
  readonly #abandon = new AbortController();
  #lostUnsaid = 0;
  #saidAt = -Infinity;

  constructor(options: RecorderOptions) {
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#batchSize = options.batchSize ?? 512;
    this.#flushMs = options.flushMs ?? 100;
    this.#retryMs = options.retryMs ?? 1_000;
    this.#ring = Array.from({ length: Math.max(1, options.maxQueued) }, () => undefined);
    const { metrics } = options;
    this.#recorded = metrics.counter('signalbox_audit_events_total', 'Outcome events taken for recording.');
    this.#lost = metrics.counter('signalbox_audit_events_lost_total', 'Outcome events that were not recorded.');
    const queued = metrics.gauge('signalbox_audit_events_queued', 'Outcome events that wait for the sink.');
    metrics.onCollect(() => queued.set(this.#count));
  }

  record(event: OutcomeEvent): void {
    if (this.#closed || this.#count === this.#ring.length) return this.#lose(1, 'the queue is full');
    this.#ring[(this.#first + this.#count) % this.#ring.length] = event;
    this.#count += 1;
    this.#recorded.add();
    this.#schedule();
  }

  async close(deadline: AbortSignal): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    const abandon = () => this.#abandon.abort(deadline.reason);
    if (deadline.aborted) abandon();
    else deadline.addEventListener('abort', abandon, { once: true });
    await Promise.race([this.#finish(), aborted(this.#abandon.signal)]);
    deadline.removeEventListener('abort', abandon);
    if (this.#count > 0) this.#lose(this.#count, 'the process stopped before they were written');
    this.#sayLost('the process stopped');
  }

  async #finish(): Promise<void> {
    await (this.#writing ?? this.#writeAll());
    await this.#sink
      .close()
      .catch((error: unknown) =>
        this.#logger.error('the sink of outcome events did not close', { error: String(error) }),
      );
  }

  /** A full batch is written in the next turn of the loop, fewer events after `flushMs`. */
  #schedule(): void {
    if (this.#writing) return;
    const urgent = this.#count >= this.#batchSize;
    if (this.#timer && (this.#urgent || !urgent)) return;
    this.#timer?.[Symbol.dispose]();
    this.#urgent = urgent;
    this.#timer = this.#clock.timer(urgent ? 0 : this.#flushMs, () => {
      this.#timer = undefined;
      this.#writing = this.#writeAll();
    });
  }

  /** Never rejects. Ends when less than a batch is queued, or at `close` nothing, or when its deadline has passed. */
  async #writeAll(): Promise<void> {
    let failing = false;
    let isDue = true;
    while (isDue && this.#count > 0 && !this.#abandon.signal.aborted) {
      const batch = this.#batch();
      try {
        await this.#sink.write(batch);
        this.#drop(batch.length);
        failing = false;
        isDue = this.#closed || this.#count >= this.#batchSize;
      } catch (error) {
        if (!failing) this.#logger.error('outcome events cannot be written; they wait', { error: String(error) });
        failing = true;
        await this.#clock.sleep(this.#retryMs, this.#abandon.signal).catch(() => undefined);
      }
    }
    this.#writing = undefined;
    if (this.#count > 0 && !this.#closed) this.#schedule();
    this.#sayLost('the queue was full');
  }

  #batch(): OutcomeEvent[] {
    const size = Math.min(this.#count, this.#batchSize);
    return Array.from({ length: size }, (_, i) => this.#ring[(this.#first + i) % this.#ring.length] as OutcomeEvent);
  }

  #drop(size: number): void {
    for (let i = 0; i < size; i += 1) this.#ring[(this.#first + i) % this.#ring.length] = undefined;
    this.#first = (this.#first + size) % this.#ring.length;
    this.#count -= size;
  }

  #lose(count: number, reason: string): void {
    this.#lost.add(count);
    this.#lostUnsaid += count;
    if (this.#clock.monotonic() - this.#saidAt >= logEveryMs) this.#sayLost(reason);
  }

  #sayLost(reason: string): void {
    if (this.#lostUnsaid === 0) return;
    this.#logger.warn('outcome events were lost', { count: this.#lostUnsaid, reason });
    this.#lostUnsaid = 0;
    this.#saidAt = this.#clock.monotonic();
  }
}

const logEveryMs = 10_000;

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
