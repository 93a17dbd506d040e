import { Backoff, type Clock, type Logger, type Metrics, type Random } from '@signalbox/runtime';

import type { ChangeFeed, ChangeListener } from './change-feed.ts';
import { isOutage } from './outage.ts';
import type { FoundSnapshot } from './snapshot-file.ts';
import type { Tail } from './tail.ts';

export interface SurvivingFeedOptions {
  readonly tail: Pick<Tail, 'start' | 'resume' | 'kick' | 'stop' | 'readAtMs' | 'failing'>;
  /** Makes the database usable: called before it is read, again after each failure. */
  readonly prepare: () => Promise<void>;
  /** What was in memory before the process ended; undefined if nothing was kept. */
  readonly loadSnapshot: () => Promise<FoundSnapshot | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const retry = { minMs: 100, maxMs: 5_000, stableAfterMs: 10_000 };

/**
 * The tail of the log, and what was known before when there is no log to read: a replica whose database is down starts
 * from its own snapshot, serves that, and catches up when the database is back. A revision never goes down on the way.
 */
export class SurvivingFeed implements ChangeFeed {
  readonly #options: SurvivingFeedOptions;
  readonly #stopping = new AbortController();
  /** As of when the state holds, while it comes from the snapshot, in milliseconds of the monotonic clock. */
  #snapshotAtMs: number | undefined;
  #returning: Promise<void> = Promise.resolve();

  constructor(options: SurvivingFeedOptions) {
    this.#options = options;
    const gauge = options.metrics.gauge(
      'signalbox_config_staleness_seconds',
      'How old the served configuration may be: since when the database has not answered; 0 while it does.',
    );
    options.metrics.onCollect(() => gauge.set(this.stalenessMs / 1_000));
  }

  /** Since how long the database has not been read, in milliseconds; 0 while it is. */
  get stalenessMs(): number {
    const { tail, clock } = this.#options;
    const since = this.#snapshotAtMs ?? (tail.failing ? tail.readAtMs : undefined);
    return since === undefined ? 0 : Math.max(1, clock.monotonic() - since);
  }

  async start(listener: ChangeListener): Promise<void> {
    const { tail, prepare, loadSnapshot, clock, logger } = this.#options;
    try {
      await prepare();
      await tail.start(listener);
    } catch (error) {
      const snapshot = isOutage(error) ? await loadSnapshot() : undefined;
      if (!snapshot) throw error;
      const ageMs = Math.max(0, clock.now() - snapshot.asOfMs);
      logger.warn('the database cannot be read: serving the snapshot of this replica, read-only', {
        ageSeconds: Math.round(ageMs / 1_000),
        error: String(error),
      });
      this.#snapshotAtMs = clock.monotonic() - ageMs;
      listener.loaded(snapshot.scopes, snapshot.staged);
      const known = new Map(snapshot.scopes.map(({ scope, revision }) => [scope, revision]));
      this.#returning = this.#catchUp(listener, known);
    }
  }

  kick(): void {
    this.#options.tail.kick();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the feed was stopped'));
    await this.#returning;
    await this.#options.tail.stop();
  }

  /** Until the database is there again, and everything was read that has been committed since. */
  async #catchUp(listener: ChangeListener, known: ReadonlyMap<string, bigint>): Promise<void> {
    const { tail, prepare, clock, random, logger } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(retry, clock, random);
    while (!signal.aborted) {
      await clock.sleep(backoff.nextDelayMs(), signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await prepare();
        await tail.resume(listener, known);
        this.#snapshotAtMs = undefined;
        return logger.info('the database is read again: no longer serving the snapshot');
      } catch (error) {
        if (!isOutage(error)) logger.error('the database cannot be used', { error: String(error) });
      }
    }
  }
}
