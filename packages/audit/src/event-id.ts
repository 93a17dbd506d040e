/**
 * Ids of events: unique within a node and in order of time when sorted as text, without asking for randomness for each.
 */
export class EventIds {
  readonly #prefix: string;
  #count = 0;

  /**
   * @param startedAt when the process started, milliseconds since the epoch.
   * @param tag tells processes apart that started in the same millisecond.
   */
  constructor(startedAt: number, tag: string) {
    this.#prefix = `${startedAt.toString(36).padStart(9, '0')}-${tag}-`;
  }

  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36).padStart(8, '0');
  }
}
