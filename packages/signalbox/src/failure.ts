/** Exit statuses: 1 it did not work, 2 it was called wrongly, 3 committed but not everywhere yet, 130 it was interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 130;

/** An error with nothing left to explain: its message says what happened, where, and what to do. */
export class Failure extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Failure';
    this.exitCode = exitCode;
  }
}

/** The command was called wrongly. */
export function usage(message: string): Failure {
  return new Failure(message, 2);
}
