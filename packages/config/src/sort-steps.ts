import { stepSize } from './steps.ts';

/** Sorts a copy of a list, pausing; stable. A list that is in order already costs one pass. */
export function* sortSteps<T>(list: readonly T[], keyOf: (item: T) => string): Generator<void, T[]> {
  let runs = yield* naturalRunsSteps(list, keyOf);
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const [left = [], right] = runs.slice(at, at + 2);
      merged.push(right === undefined ? left : yield* mergeSteps(left, right, keyOf));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

/** Cuts a list into pieces that are in order: as long as they come in order, else of a bounded length and sorted. */
function* naturalRunsSteps<T>(list: readonly T[], keyOf: (item: T) => string): Generator<void, T[][]> {
  const runs: T[][] = [];
  for (let start = 0; start < list.length;) {
    let end = start + 1;
    while (end < list.length && keyOf(list[end - 1] as T) <= keyOf(list[end] as T)) {
      end += 1;
      if ((end - start) % (4 * stepSize) === 0) yield;
    }
    if (end - start >= stepSize) runs.push(list.slice(start, end));
    else {
      end = Math.min(list.length, start + stepSize);
      runs.push(list.slice(start, end).sort((a, b) => compare(keyOf(a), keyOf(b))));
    }
    start = end;
    yield;
  }
  return runs;
}

function* mergeSteps<T>(left: readonly T[], right: readonly T[], keyOf: (item: T) => string): Generator<void, T[]> {
  const merged: T[] = [];
  let atLeft = 0;
  let atRight = 0;
  while (atLeft < left.length && atRight < right.length) {
    const [a, b] = [left[atLeft] as T, right[atRight] as T];
    if (keyOf(a) <= keyOf(b)) {
      merged.push(a);
      atLeft += 1;
    } else {
      merged.push(b);
      atRight += 1;
    }
    if (merged.length % (4 * stepSize) === 0) yield;
  }
  return merged.concat(left.slice(atLeft), right.slice(atRight));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
