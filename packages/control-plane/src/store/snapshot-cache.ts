import type { Snapshot } from '@signalbox/config';

/**
 * Newest snapshots of scopes that were used lately. A scope is at the same content when its newest revision has the
 * same number and the same time: after a failover that lost revisions a number can be given a second time.
 */
export class SnapshotCache {
  readonly #maxResources: number;
  /** By scope, the one used longest ago first. */
  readonly #entries = new Map<string, { readonly version: string; readonly snapshot: Snapshot }>();
  #resources = 0;

  /** @param maxResources resources of all snapshots together. */
  constructor(maxResources: number) {
    this.#maxResources = maxResources;
  }

  /** @param version what the database says of the scope now. */
  get(scope: string, version: string | undefined): Snapshot | undefined {
    const entry = this.#entries.get(scope);
    if (!entry || entry.version !== version) return undefined;
    this.#entries.delete(scope);
    this.#entries.set(scope, entry);
    return entry.snapshot;
  }

  /** Keeps a committed snapshot, if it is not larger than all may be. */
  put(version: string | undefined, snapshot: Snapshot): void {
    const { scope } = snapshot;
    this.#delete(scope);
    if (version === undefined || snapshot.resources.size > this.#maxResources) return;
    this.#entries.set(scope, { version, snapshot });
    this.#resources += snapshot.resources.size;
    for (const oldest of this.#entries.keys()) {
      if (this.#resources <= this.#maxResources) return;
      this.#delete(oldest);
    }
  }

  #delete(scope: string): void {
    this.#resources -= this.#entries.get(scope)?.snapshot.resources.size ?? 0;
    this.#entries.delete(scope);
  }
}
