import { canonicalJson, isArray, type Json } from './canonical-json.ts';

/** One place at which two descriptors differ. */
export interface FieldChange {
  /** Where: keys with dots between, positions in brackets, such as `inputSchema.properties.city.type`. */
  readonly path: string;
  /** What stood there, as canonical JSON; undefined: nothing. */
  readonly before: string | undefined;
  /** What stands there now; undefined: nothing. */
  readonly after: string | undefined;
}

/** Places at which two values differ, in the order of their paths; no more than `most`. */
export function fieldChanges(before: Json, after: Json, most: number): readonly FieldChange[] {
  const changes: FieldChange[] = [];
  compare('', before, after, changes, most);
  return changes;
}

function compare(
  path: string,
  ...[before, after, changes, most]: [Json | undefined, Json | undefined, FieldChange[], number]
): void {
  if (changes.length >= most) return;
  const [old, now] = [textOf(before), textOf(after)];
  if (old === now) return;
  const steps = stepsInto(before, after);
  if (!steps) {
    changes.push({ path, before: old, after: now });
    return;
  }
  for (const step of steps) {
    const inner = typeof step === 'number' ? `${path}[${step}]` : path === '' ? step : `${path}.${step}`;
    compare(inner, at(before, step), at(after, step), changes, most);
  }
}

/** Where to look for the difference; undefined if the values themselves differ. Lists of other lengths are one change. */
function stepsInto(before: Json | undefined, after: Json | undefined): readonly (string | number)[] | undefined {
  if (!isContainer(before) || !isContainer(after) || isArray(before) !== isArray(after)) return undefined;
  if (!isArray(before) || !isArray(after)) return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return before.length === after.length ? [...before.keys()] : undefined;
}

function isContainer(value: Json | undefined): value is Exclude<Json, null | boolean | number | string> {
  return typeof value === 'object' && value !== null;
}

function at(value: Json | undefined, step: string | number): Json | undefined {
  return isContainer(value) && Object.hasOwn(value, step) ? (value as Record<string | number, Json>)[step] : undefined;
}

function textOf(value: Json | undefined): string | undefined {
  return value === undefined ? undefined : canonicalJson(value);
}
