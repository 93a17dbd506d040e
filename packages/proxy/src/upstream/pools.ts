/** Connections of one key to one endpoint. */
export interface KeyedPool {
  readonly poolKey: string;
  readonly origin: string;
  /** Nothing waits, and nothing is under way. */
  readonly unused: boolean;
  closeIdle(): void;
  /** Breaks off everything. */
  close(): void;
}

/** A bounded number of pools by pool key, then by origin: both strings are the caller's and need no joining. */
export class Pools<Pool extends KeyedPool> {
  readonly #maxPools: number;
  readonly #byKey = new Map<string, Map<string, Pool>>();
  #count = 0;

  constructor(maxPools: number) {
    this.#maxPools = maxPools;
  }

  find(poolKey: string, origin: string): Pool | undefined {
    return this.#byKey.get(poolKey)?.get(origin);
  }

  /** Makes room for one more, by an unused one that gives way. @returns false if all are in use. */
  hasRoom(): boolean {
    if (this.#count < this.#maxPools) return true;
    this.all()
      .find((pool) => pool.unused)
      ?.closeIdle();
    return this.#count < this.#maxPools;
  }

  add(pool: Pool): Pool {
    const ofKey = this.#byKey.get(pool.poolKey) ?? new Map<string, Pool>();
    ofKey.set(pool.origin, pool);
    this.#byKey.set(pool.poolKey, ofKey);
    this.#count += 1;
    return pool;
  }

  /** Forgets a pool. @returns whether it was there. */
  remove(pool: Pool): boolean {
    const ofKey = this.#byKey.get(pool.poolKey);
    if (ofKey?.get(pool.origin) !== pool) return false;
    ofKey.delete(pool.origin);
    this.#count -= 1;
    if (ofKey.size === 0) this.#byKey.delete(pool.poolKey);
    return true;
  }

  all(): Pool[] {
    return [...this.#byKey.values()].flatMap((ofKey) => [...ofKey.values()]);
  }
}
