import { Listr } from 'listr2';
import type { Cli } from '../cli.ts';

/** Something that starts. */
export interface Step {
  readonly title: string;
  /** Resolves with what there is to say about it. */
  readonly done: Promise<string>;
}

/**
 * Shows how steps end: a live list on a terminal, a line a step elsewhere, nothing when `quiet`.
 * @returns when all have ended. Failures are the caller's to report: it holds the same promises.
 */
export async function showProgress(cli: Cli, steps: readonly Step[], quiet: boolean): Promise<void> {
  if (quiet) await Promise.allSettled(steps.map(({ done }) => done));
  else if (cli.out.isTerminal) await showLive(steps);
  else await showLines(cli, steps);
}

async function showLive(steps: readonly Step[]): Promise<void> {
  const list = new Listr(
    steps.map(({ title, done }) => ({
      title,
      task: async (_context: unknown, task: { title?: string }) => {
        const detail = await done;
        task.title = detail ? `${title}: ${detail}` : title;
      },
    })),
    {
      concurrent: true,
      exitOnError: false,
      // Ctrl-C is ours: it stops what has started, in order.
      registerSignalListeners: false,
      rendererOptions: { showErrorMessage: false, collapseErrors: false },
    },
  );
  await list.run();
}

async function showLines(cli: Cli, steps: readonly Step[]): Promise<void> {
  await Promise.allSettled(
    steps.map(async ({ title, done }) => {
      const begun = cli.clock.monotonic();
      const detail = await done.catch(() => undefined);
      const seconds = ((cli.clock.monotonic() - begun) / 1_000).toFixed(1);
      if (detail === undefined) cli.err.write(`✘ ${title}\n`);
      else cli.err.write(`✔ ${title}${detail ? `: ${detail}` : ''} (${seconds} s)\n`);
    }),
  );
}
