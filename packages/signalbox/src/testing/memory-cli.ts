import { systemClock } from '@signalbox/runtime';
import { SeededRandom } from '@signalbox/runtime/testing';
import type { Cli } from '../cli.ts';

/** A Cli whose screens are text, for tests. Nothing of the machine is in it unless it is given. */
export interface MemoryCli extends Cli {
  readonly printed: { out: string; err: string };
}

export function memoryCli(given: Partial<Cli> = {}): MemoryCli {
  const printed = { out: '', err: '' };
  return {
    environment: {},
    cwd: '/nowhere',
    root: '/nowhere',
    out: { write: (text) => void (printed.out += text), isTerminal: false, colours: false },
    err: { write: (text) => void (printed.err += text), isTerminal: false, colours: false },
    clock: systemClock,
    random: new SeededRandom(1),
    interrupted: new AbortController().signal,
    onHangup: () => undefined,
    readInput: () => Promise.resolve(''),
    ask: () => Promise.resolve(''),
    ...given,
    printed,
  };
}
