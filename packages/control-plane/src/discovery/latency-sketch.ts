/** Each bucket ends so much above the one before: quantiles are exact to half of it. */
const growth = 1.1;
const smallestMs = 0.1;
/** Ends beyond a year. */
const lastBucket = 270;

/** Durations by bucket: the number of the bucket as text, and how many fell into it. */
export type BucketCounts = Readonly<Record<string, number>>;

/** Quantiles of durations, in little memory, that can be added up over replicas. Durations are in milliseconds. */
export class LatencySketch {
  readonly #counts = new Map<number, number>();

  /** A duration below zero counts as none: clocks of two machines differ. */
  add(durationMs: number): void {
    const bucket = bucketOf(durationMs);
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
  }

  /** @param shiftMs is added to each duration. */
  merge(counts: BucketCounts, shiftMs = 0): void {
    for (const [bucket, count] of Object.entries(counts)) {
      const shifted = shiftMs === 0 ? Number(bucket) : bucketOf(middleOf(Number(bucket)) + shiftMs);
      this.#counts.set(shifted, (this.#counts.get(shifted) ?? 0) + count);
    }
  }

  get count(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The duration that a share of all, 0 to 1, does not exceed; 0 if there are none. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count));
    let seen = 0;
    for (const [bucket, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      seen += count;
      if (seen >= rank) return middleOf(bucket);
    }
    return 0;
  }

  toCounts(): BucketCounts {
    return Object.fromEntries(this.#counts);
  }
}

function bucketOf(durationMs: number): number {
  if (!(durationMs > smallestMs)) return 0;
  return Math.min(lastBucket, Math.ceil(Math.log(durationMs / smallestMs) / Math.log(growth)));
}

function middleOf(bucket: number): number {
  return bucket === 0 ? 0 : smallestMs * growth ** (bucket - 0.5);
}
