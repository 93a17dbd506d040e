import { Backoff, type Clock, type Counter, type Logger, type Metrics, type Random } from '@signalbox/runtime';
import type { StateHub } from '../nodes/between-workers/state-hub.ts';
import type { SpawnWorker } from './messages.ts';
import { giveSockets, Worker } from './worker.ts';
import type { Environment } from './worker-environment.ts';

export interface WorkerPoolOptions {
  /** How many there are. */
  readonly count: number;
  readonly spawn: SpawnWorker;
  /** The variables of the worker of that number. */
  readonly environmentOf: (index: number) => Environment;
  /** Gives a worker that is about to start what another served last. Never rejects. */
  readonly seed: (from: number, to: number) => Promise<void>;
  /** What the workers share; each gets a seat. */
  readonly state: StateHub;
  readonly restart: { readonly minMs: number; readonly maxMs: number; readonly stableAfterMs: number };
  /** How long a worker may take until it has its configuration. */
  readonly startMs: number;
  /** How long a worker may take to end; then it is killed. */
  readonly endMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * The workers of one machine. One that ends by itself is started again under its number, later each time, while the others
 * serve. `restart` replaces them one by one with new processes, which get their listening sockets: no connection meets a
 * closed one (docs/rfd/0030).
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #workers = new Map<number, Worker>();
  readonly #backoffs = new Map<number, Backoff>();
  readonly #waits = new Map<number, Disposable>();
  readonly #restarts: Counter;
  /** Until all have run once: one that fails before fails the start. */
  #starting = true;
  #stopping = false;
  #restarting: Promise<void> | undefined;
  #restartAgain = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#restarts = metrics.counter(
      'signalbox_proxy_worker_restarts_total',
      'Workers that were started again because they had ended by themselves.',
    );
    const running = metrics.gauge('signalbox_proxy_workers', 'Workers that run.');
    metrics.onCollect(() => running.set(this.serving.length));
  }

  /** Those that run and are not about to leave, by number. */
  get serving(): readonly Worker[] {
    return [...this.#workers.values()]
      .filter(({ adminUrl, isLeaving }) => adminUrl !== undefined && !isLeaving)
      .toSorted((a, b) => a.index - b.index);
  }

  /** @throws Error when one of them ends before it runs: what is wrong is on standard error. */
  async start(): Promise<void> {
    const indexes = Array.from({ length: this.#options.count }, (_, index) => index);
    const workers = await Promise.all(indexes.map((index) => this.#spawn(index, 'opens')));
    const failed = await Promise.all(workers.map((worker) => Promise.race([worker.up, worker.process.exited])));
    const reason = failed.find((each) => typeof each === 'string');
    this.#starting = false;
    if (reason === undefined) {
      for (const { index, isGone } of workers) if (isGone) this.#startAgain(index, 'while others started');
      return;
    }
    await this.stop('SIGTERM');
    throw new Error(`a worker ended before it served (${reason}): its reason is above`);
  }

  /** Replaces every worker, one at a time. Asked for again meanwhile, it begins once more when it is done. */
  restart(): Promise<void> {
    if (this.#restarting) this.#restartAgain = true;
    this.#restarting ??= this.#restartAll().finally(() => (this.#restarting = undefined));
    return this.#restarting;
  }

  /** Lets all of them drain. @returns false when one had to be killed, or failed. */
  async stop(signal: 'SIGTERM' | 'SIGINT'): Promise<boolean> {
    this.#stopping = true;
    for (const wait of this.#waits.values()) wait[Symbol.dispose]();
    const ends = [...this.#workers.values()].map((worker) => {
      worker.isLeaving = true;
      worker.process.kill(signal);
      return this.#ended(worker);
    });
    return (await Promise.all(ends)).every((how) => how === 'status 0');
  }

  async #restartAll(): Promise<void> {
    const { logger } = this.#options;
    do {
      this.#restartAgain = false;
      for (const worker of this.serving) {
        if (this.#stopping) return;
        if (!worker.isGone && !(await this.#replace(worker))) {
          logger.error('the restart was given up: workers that were not replaced serve on', { worker: worker.index });
          return;
        }
      }
      logger.info('all workers were replaced');
    } while (this.#restartAgain);
  }

  /** @returns false when the new one could not serve; the old one stays. */
  async #replace(old: Worker): Promise<boolean> {
    const { logger, clock, startMs, seed } = this.#options;
    const index = this.#freeIndex();
    await seed(old.index, index);
    const next = await this.#spawn(index, 'is given');
    const timeout = new AbortController();
    const late = clock.sleep(startMs, timeout.signal).then(
      () => 'late' as const,
      () => 'late' as const,
    );
    const prepared = await Promise.race([next.prepared, next.process.exited, late]);
    timeout.abort();
    if (prepared !== 'prepared' || this.#stopping) {
      next.isLeaving = true;
      next.process.kill('SIGKILL');
      return false;
    }
    old.isLeaving = true;
    await giveSockets(old, next);
    await Promise.race([next.up, next.process.exited]);
    logger.info('a worker takes the place of another', { worker: next.index, leaves: old.index });
    await this.#ended(old);
    return true;
  }

  /** The lowest number that nobody has: there is one more than there are workers, so that each has its own folder. */
  #freeIndex(): number {
    let index = 0;
    while (this.#workers.has(index) || this.#waits.has(index)) index += 1;
    return index;
  }

  async #ended(worker: Worker): Promise<string> {
    const { clock, endMs } = this.#options;
    using _timer = clock.timer(endMs, () => worker.process.kill('SIGKILL'));
    // Awaited here: the timer lives as long.
    return await worker.process.exited;
  }

  async #spawn(index: number, sockets: 'opens' | 'is given'): Promise<Worker> {
    const { spawn, environmentOf, state } = this.#options;
    const process = await spawn(environmentOf(index));
    const seat = state.seat((answer) => void process.send({ type: 'state', state: answer }));
    const worker = new Worker(index, process, seat);
    this.#workers.set(index, worker);
    if (sockets === 'opens') void process.send({ type: 'given' });
    void process.exited.then((how) => this.#gone(worker, how));
    void worker.up.then(() => this.#backoffOf(index).succeeded());
    return worker;
  }

  #gone(worker: Worker, how: string): void {
    worker.gone();
    if (this.#workers.get(worker.index) === worker) this.#workers.delete(worker.index);
    if (worker.isLeaving || this.#stopping || this.#starting) return;
    this.#startAgain(worker.index, how);
  }

  #startAgain(index: number, how: string): void {
    const { logger, clock } = this.#options;
    const delayMs = this.#backoffOf(index).nextDelayMs();
    logger.error('a worker ended by itself; it is started again', { worker: index, how, delayMs });
    const wait = clock.timer(delayMs, () => {
      this.#waits.delete(index);
      this.#restarts.add();
      this.#spawn(index, 'opens').catch((error: unknown) => this.#startAgain(index, String(error)));
    });
    this.#waits.set(index, wait);
  }

  #backoffOf(index: number): Backoff {
    const { restart, clock, random } = this.#options;
    const known = this.#backoffs.get(index) ?? new Backoff(restart, clock, random);
    this.#backoffs.set(index, known);
    return known;
  }
}
