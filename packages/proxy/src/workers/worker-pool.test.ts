import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { defaultNodesLimits } from '../nodes/limits.ts';
import { StateHub } from '../nodes/between-workers/state-hub.ts';
import type { FromWorker, ToWorker, WorkerProcess } from './messages.ts';
import { WorkerPool } from './worker-pool.ts';

/** A process that does what the test says. */
class FakeProcess implements WorkerProcess {
  readonly pid: number;
  readonly index: number;
  readonly #steps: string[];
  readonly #exited = Promise.withResolvers<string>();
  readonly exited = this.#exited.promise;
  #listener: (message: FromWorker, handle: undefined) => void = () => undefined;

  constructor(index: number, steps: string[]) {
    this.index = index;
    this.pid = index;
    this.#steps = steps;
    steps.push(`start ${index}`);
  }

  send(message: ToWorker): Promise<void> {
    this.#steps.push(`${message.type} to ${this.index}`);
    if (message.type === 'release') this.say({ type: 'released' });
    return Promise.resolve();
  }

  onMessage(listener: (message: FromWorker, handle: undefined) => void): void {
    this.#listener = listener;
  }

  say(message: FromWorker): void {
    this.#listener(message, undefined);
  }

  up(): void {
    this.say({ type: 'up', node: `node-w${this.index}`, adminUrl: 'http://127.0.0.1:1' });
  }

  end(how: string): void {
    this.#steps.push(`end ${this.index}`);
    this.#exited.resolve(how);
  }

  kill(signal: string): void {
    this.end(signal === 'SIGKILL' ? signal : 'status 0');
  }
}

/** Settles what is promised. */
const settle = () => new Promise((resolve) => void setImmediate(resolve));

function fixture() {
  const clock = new ManualClock();
  const steps: string[] = [];
  const processes: FakeProcess[] = [];
  const logger = new MemoryLogger();
  const pool = new WorkerPool({
    count: 2,
    spawn: ({ INDEX }) => {
      const started = new FakeProcess(Number(INDEX), steps);
      processes.push(started);
      return Promise.resolve(started);
    },
    environmentOf: (index) => ({ INDEX: String(index) }),
    seed: (from, to) => {
      steps.push(`seed ${to} from ${from}`);
      return Promise.resolve();
    },
    state: new StateHub(clock, defaultNodesLimits),
    restart: { minMs: 100, maxMs: 1_000, stableAfterMs: 60_000 },
    ...{ startMs: 10_000, endMs: 30_000 },
    ...{ clock, random: new SeededRandom(1), logger, metrics: new Metrics() },
  });
  const latest = () => processes.at(-1) as FakeProcess;
  const start = async () => {
    const starting = pool.start();
    await settle();
    for (const each of processes) each.up();
    await starting;
    steps.length = 0;
  };
  const serving = () => pool.serving.map(({ index }) => index);
  return { clock, steps, processes, logger, pool, latest, start, serving };
}

describe('a pool of workers', () => {
  it('starts one again that ended by itself, later each time, while the others serve', async () => {
    const { clock, processes, steps, serving, start, latest } = fixture();
    await start();
    processes[1]?.end('SIGSEGV');
    await settle();
    expect(serving()).toEqual([0]);
    await clock.advance(100);
    await settle();
    expect(steps).toEqual(['end 1', 'start 1', 'given to 1']);
    latest().end('status 1');
    await settle();
    await clock.advance(99);
    expect(steps).toHaveLength(4);
    await clock.advance(1_000);
    await settle();
    latest().up();
    expect(serving()).toEqual([0, 1]);
  });

  it('fails to start when a worker ends before it serves', async () => {
    const { pool, processes, clock, steps } = fixture();
    const starting = pool.start();
    await settle();
    processes[0]?.up();
    processes[1]?.end('status 1');
    await expect(starting).rejects.toThrow('status 1');
    await clock.advance(10_000);
    expect(steps.filter((step) => step.startsWith('start'))).toHaveLength(2);
  });

  it('starts one again that ended while others had not served yet', async () => {
    const { pool, processes, clock, latest } = fixture();
    const starting = pool.start();
    await settle();
    processes[0]?.up();
    await settle();
    processes[0]?.end('SIGSEGV');
    await settle();
    processes[1]?.up();
    await starting;
    await clock.advance(100);
    await settle();
    expect(latest().index).toBe(0);
    expect(processes).toHaveLength(3);
  });

  it('replaces workers one at a time: the next comes, takes the sockets, and only then the other leaves', async () => {
    const { pool, processes, steps, start, latest, serving } = fixture();
    await start();
    const [first, second] = processes as [FakeProcess, FakeProcess];
    const done = pool.restart();
    await settle();
    expect(steps).toEqual(['seed 2 from 0', 'start 2']);
    expect(serving()).toEqual([0, 1]);
    const third = latest();
    third.say({ type: 'prepared' });
    await settle();
    third.up();
    await settle();
    expect(steps).toEqual(['seed 2 from 0', 'start 2', 'release to 0', 'given to 2']);
    expect(serving()).toEqual([1, 2]);
    first.end('status 0');
    await settle();
    expect(steps.slice(4)).toEqual(['end 0', 'seed 0 from 1', 'start 0']);
    latest().say({ type: 'prepared' });
    await settle();
    latest().up();
    second.end('status 0');
    await done;
    expect(serving()).toEqual([0, 2]);
  });

  it('keeps the old worker when the new one gets no configuration', async () => {
    const { pool, steps, start, serving, clock, logger } = fixture();
    await start();
    const done = pool.restart();
    await settle();
    await clock.advance(10_000);
    await done;
    expect(steps).toEqual(['seed 2 from 0', 'start 2', 'end 2']);
    expect(serving()).toEqual([0, 1]);
    expect(JSON.stringify(logger.lines)).toContain('the restart was given up');
  });

  it('kills what does not end in time, and says so', async () => {
    const { pool, start, processes, clock } = fixture();
    await start();
    const [first, second] = processes as [FakeProcess, FakeProcess];
    first.kill = (signal) => void (signal === 'SIGKILL' && first.end(signal));
    const stopped = pool.stop('SIGTERM');
    await settle();
    expect(second.index).toBe(1);
    await clock.advance(30_000);
    expect(await stopped).toBe(false);
  });
});
