/** Times as ISO 8601. Many requests arrive in the same millisecond: the last text is kept. */
export class IsoTimes {
  #at = Number.NaN;
  #text = '';

  /** @param at milliseconds since the epoch. */
  of(at: number): string {
    if (at !== this.#at) {
      this.#at = at;
      this.#text = new Date(at).toISOString();
    }
    return this.#text;
  }
}
