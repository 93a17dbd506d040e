import { threadCpuMs } from './thread-cpu.ts';

/** The longest time that the event loop of this process was held up. */
export interface Stall {
  /** By the clock, in milliseconds. On a busy machine part of it is time in which others had the core. */
  readonly wallMs: number;
  /** Processor time of this thread between two turns of the loop, in milliseconds: what the process did by itself. */
  readonly cpuMs: number;
}

/** How often the loop should turn, in milliseconds; a delay of one turn is no stall. */
const tickMs = 1;

/** Looks at each turn how long the last one took. */
export class StallMeter {
  #wallMs = 0;
  #cpuMs = 0;
  #lastWall = performance.now();
  #lastCpu = threadCpuMs();

  constructor() {
    setInterval(() => this.#turn(), tickMs);
  }

  get longest(): Stall {
    return { wallMs: this.#wallMs, cpuMs: this.#cpuMs };
  }

  /** Forgets what was seen so far. */
  reset(): void {
    this.#turn();
    this.#wallMs = 0;
    this.#cpuMs = 0;
  }

  #turn(): void {
    const [wall, cpu] = [performance.now(), threadCpuMs()];
    this.#wallMs = Math.max(this.#wallMs, wall - this.#lastWall - tickMs);
    this.#cpuMs = Math.max(this.#cpuMs, cpu - this.#lastCpu);
    this.#lastWall = wall;
    this.#lastCpu = cpu;
  }
}
