/** Times as ISO 8601. Many requests arrive in the same second: the text up to it is kept. */
export class IsoTimes {
  #at = Number.NaN;
  #text = '';
  #second = Number.NaN;
  #secondText = '';

  /** @param at milliseconds since the epoch. */
  of(at: number): string {
    if (at === this.#at) return this.#text;
    const second = Math.floor(at / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = new Date(second * 1_000).toISOString().slice(0, -'000Z'.length);
    }
    this.#at = at;
    this.#text = `${this.#secondText}${String(at - second * 1_000).padStart(3, '0')}Z`;
    return this.#text;
  }
}
