/** Memory in use after a collection, as time goes by. */
export class MemoryCurve {
  readonly #points: { readonly atMs: number; readonly bytes: number }[] = [];

  /** @param collect runs a full collection. */
  measure(atMs: number, collect: () => void): number {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    const bytes = heapUsed + external;
    this.#points.push({ atMs, bytes });
    return bytes;
  }

  /** How it grew over the last two thirds: the line of least squares, in bytes, and the mean. */
  lastTwoThirds(): { readonly growth: number; readonly mean: number; readonly points: number } {
    const points = this.#points.slice(Math.floor(this.#points.length / 3));
    const mean = points.reduce((sum, { bytes }) => sum + bytes, 0) / points.length;
    const middle = points.reduce((sum, { atMs }) => sum + atMs, 0) / points.length;
    const spread = points.reduce((sum, { atMs }) => sum + (atMs - middle) ** 2, 0);
    const slope = points.reduce((sum, { atMs, bytes }) => sum + (atMs - middle) * (bytes - mean), 0) / spread;
    const lasted = (points.at(-1)?.atMs ?? 0) - (points[0]?.atMs ?? 0);
    return { growth: slope * lasted, mean, points: points.length };
  }
}
