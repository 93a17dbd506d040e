import type { Clock } from '@signalbox/runtime';

const lookMs = 500;

/**
 * Resolves when a process is gone: nobody who starts `up` through others, as `npm start` does, can be left with its
 * processes when that one is killed. Never resolves for 0, which stands for nobody.
 */
export function untilGone(pid: number, clock: Pick<Clock, 'interval'>): Promise<void> & Disposable {
  const { promise, resolve } = Promise.withResolvers<void>();
  const looking = pid === 0 ? undefined : clock.interval(lookMs, () => void (isRunning(pid) || resolve()));
  return Object.assign(promise, { [Symbol.dispose]: () => looking?.[Symbol.dispose]() });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // It is somebody else's, and there.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
