import type { HeaderChanges } from '@signalbox/config';

/** Header fields, name, value, name, value …, changed as a route says: set, then add, then remove. */
export function changedHeaders(headers: readonly string[], changes: HeaderChanges | null): readonly string[] {
  if (changes === null) return headers;
  const { set, add, remove } = changes;
  const gone = new Set(remove);
  const replaced = new Set(set.map(([name]) => name));
  const result: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    if (!gone.has(lower) && !replaced.has(lower)) result.push(name, headers[i + 1] as string);
  }
  for (const [name, value] of [...set, ...add]) if (!gone.has(name)) result.push(name, value);
  return result;
}
