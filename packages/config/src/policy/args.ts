/** Nesting of a value that rules can see; deeper ones are refused as a whole. */
const maxDepth = 64;
const minInt = -(2n ** 63n);
const maxInt = 2n ** 63n - 1n;

/**
 * The arguments of a tool call as rules see them: objects are maps, whole numbers are exact 64-bit integers, other
 * numbers are doubles. Undefined if the text is no JSON object or is nested too deeply.
 */
export function argsFromJson(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return argsFromValue(holdsUnsafeInteger(value, 0) ? JSON.parse(text, exactIntegers) : value);
  } catch {
    return undefined;
  }
}

/** The same for a value that is parsed already, such as the claims of a token. */
export function argsFromValue(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  try {
    return toMap(value, 0);
  } catch {
    return undefined;
  }
}

function toMap(value: object, depth: number): ReadonlyMap<string, unknown> {
  const map = new Map<string, unknown>();
  for (const key of Object.keys(value)) map.set(key, toRuleValue((value as Record<string, unknown>)[key], depth + 1));
  return map;
}

function toRuleValue(value: unknown, depth: number): unknown {
  if (depth > maxDepth) throw new RangeError('nested too deeply');
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? value.map((entry) => toRuleValue(entry, depth + 1)) : toMap(value, depth);
}

function holdsUnsafeInteger(value: unknown, depth: number): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && !Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null || depth > maxDepth) return false;
  const entries: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  return entries.some((entry) => holdsUnsafeInteger(entry, depth + 1));
}

/** Reviver that reads integers from the text: a double holds them exactly only up to 2^53. */
function exactIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || source === undefined || !/^-?\d+$/.test(source)) return value;
  const integer = BigInt(source);
  return integer >= minInt && integer <= maxInt ? integer : value;
}
