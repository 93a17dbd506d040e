/** Ids of outcome events: unique, and in order of time within a node. */
export class EventIds {
  readonly #prefix: string;
  #count = 0;

  /** @param startedAt when the process started, milliseconds since the epoch. @param tag tells processes apart. */
  constructor(startedAt: number, tag: string) {
    this.#prefix = `${startedAt.toString(36)}-${tag}-`;
  }

  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36).padStart(8, '0');
  }
}
