import type { Clock, Random } from '@signalbox/runtime';

/** A stream that people or programs read. */
export interface Screen {
  write(text: string): void;
  /** A person watches: colours, live lines and questions make sense. */
  readonly isTerminal: boolean;
  /** Colours are wanted: a terminal, and NO_COLOR is not set. */
  readonly colours: boolean;
}

/** Everything a command may touch of the world around it. */
export interface Cli {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder in which the command was called. */
  readonly cwd: string;
  /** Folder of the checkout or installation: `.signalbox/` and `deploy/` are in it. */
  readonly root: string;
  readonly out: Screen;
  readonly err: Screen;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts on the first Ctrl-C or SIGTERM. A second one ends the process at once. */
  readonly interrupted: AbortSignal;
  /** Calls back on each SIGHUP, which then ends nothing. */
  onHangup(listener: () => void): void;
  /** All of standard input. */
  readInput(): Promise<string>;
  /** One line from the terminal. */
  ask(question: string): Promise<string>;
}
