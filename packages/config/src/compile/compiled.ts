import type { Problem } from '../problem.ts';

/** What compiling gives: a table and warnings, or problems among which is an error. */
export interface Compiled<T> {
  /** Absent when there is an error: a set is served whole or not at all. */
  readonly table?: T;
  readonly problems: readonly Problem[];
}
