/** Something that can stand in one roster at a time. The field belongs to the roster. */
export interface Rostered {
  /** Its place in the roster; `notRostered` while it stands in none. */
  place: number;
}

/** Value of `place` of what stands in no roster. */
export const notRostered = -1;

/**
 * A set of what comes and goes thousands of times a second, in no order: an array whose last member takes the place of
 * one that leaves.
 *
 * Why no `Set` or `Map`: theirs is a hash table that is exchanged for a new one each time a few dozen members have gone,
 * and the old one holds on to its members and to its successor. Once one such table has grown old, those behind it
 * survive every young collection, and what was in flight with them: kilobytes a call, and pauses of tens of
 * milliseconds.
 */
export class Roster<T extends Rostered> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  /** Adds what stands in no roster. */
  add(member: T): void {
    if (member.place !== notRostered) throw new Error('it already stands in a roster');
    member.place = this.#members.length;
    this.#members.push(member);
  }

  has(member: T): boolean {
    return this.#members[member.place] === member;
  }

  /** @returns whether it was there. */
  delete(member: T): boolean {
    const { place } = member;
    if (this.#members[place] !== member) return false;
    const last = this.#members.pop() as T;
    if (last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = notRostered;
    return true;
  }

  /** The member that came last, if none left since. */
  get last(): T | undefined {
    return this.#members.at(-1);
  }

  /**
   * Every member, the last one first. Whoever is told may leave, and may take others along: nobody who stays is passed
   * over, though one that was told may be told again. Who joins meanwhile is not told.
   */
  *[Symbol.iterator](): Generator<T> {
    for (let at = this.#members.length - 1; at >= 0; at -= 1) {
      const member = this.#members[at];
      if (member) yield member;
    }
  }
}
