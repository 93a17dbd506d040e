/** What became of everything that was done. */
export class Tally {
  /** Things that worked, by what they were. */
  readonly done = new Map<string, number>();
  /** What a restart of a node may cause, by what was said. */
  readonly lost = new Map<string, number>();
  /** What must not be; the first ones as they were. */
  readonly faults: string[] = [];
  faultCount = 0;

  did(what: string): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }

  lose(what: string): void {
    this.lost.set(what, (this.lost.get(what) ?? 0) + 1);
  }

  fault(what: string): void {
    this.faultCount += 1;
    if (this.faults.length < 100) this.faults.push(what);
  }

  get total(): number {
    return [...this.done.values()].reduce((sum, count) => sum + count, 0);
  }
}
