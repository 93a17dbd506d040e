const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** How long ago, in the largest unit that fits: `3s`, `12m`, `5h`, `40d`. Both in milliseconds since the epoch. */
export function age(nowMs: number, thenMs: number): string {
  const elapsed = Math.max(0, nowMs - thenMs);
  for (const [unit, length] of units) {
    if (elapsed >= length) return `${Math.floor(elapsed / length)}${unit}`;
  }
  return '0s';
}
