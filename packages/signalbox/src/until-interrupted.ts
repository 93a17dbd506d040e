import type { Cli } from './cli.ts';

/** Resolves on Ctrl-C or SIGTERM. */
export function untilInterrupted(cli: Cli): Promise<void> {
  return new Promise((resolve) => {
    if (cli.interrupted.aborted) resolve();
    cli.interrupted.addEventListener('abort', () => resolve(), { once: true });
  });
}
