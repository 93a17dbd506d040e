import { availableParallelism } from 'node:os';
import type { Setting } from '@signalbox/runtime';
import { bound } from '../setting-kinds.ts';

/** Most workers that somebody can ask for. */
const maxWorkers = 256;

export const workerSettings = {
  workers: workerCount({
    name: 'SIGNALBOX_PROXY_WORKERS',
    doc: 'Processes that serve the listeners together, each a node of its own: a number, or auto: as many as there are cores. Empty: this process serves alone, without a supervisor.',
  }),
  workerRestartMin: bound(
    'SIGNALBOX_PROXY_WORKER_RESTART_MIN',
    100,
    'Wait before a worker that ended by itself is started again; doubles each time, up to SIGNALBOX_PROXY_WORKER_RESTART_MAX.',
    'ms',
  ),
  workerRestartMax: bound(
    'SIGNALBOX_PROXY_WORKER_RESTART_MAX',
    30_000,
    'Longest wait before a worker is started again.',
    'ms',
  ),
  workerStable: bound(
    'SIGNALBOX_PROXY_WORKER_STABLE',
    60_000,
    'How long a worker must have run for its next restart to begin with the shortest wait.',
    'ms',
  ),
  workerStart: bound(
    'SIGNALBOX_PROXY_WORKER_START',
    60_000,
    'How long a new worker may take to have its configuration before the one that it is to replace stays.',
    'ms',
  ),
  workerAsk: bound(
    'SIGNALBOX_PROXY_WORKER_ASK',
    5_000,
    'How long the supervisor waits for what a worker says on its admin port.',
    'ms',
  ),
} as const;

/** `undefined`: no supervisor. */
function workerCount(named: { readonly name: string; readonly doc: string }): Setting<number | undefined> {
  return {
    ...named,
    unit: 'count|auto',
    fallback: '',
    parse: (value) => {
      if (value === '') return { value: undefined };
      if (value === 'auto') return { value: Math.min(availableParallelism(), maxWorkers) };
      const count = Number(value);
      if (/^\d+$/.test(value) && count >= 1 && count <= maxWorkers) return { value: count };
      return { problem: `expected a number from 1 to ${maxWorkers}, or auto, got "${value}"` };
    },
  };
}
