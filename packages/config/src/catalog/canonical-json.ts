/** A value that JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * The one way to write a JSON value (RFC 8785): no space, keys in the order of their UTF-16 code units, numbers as
 * ECMAScript writes them. Equal for texts that say the same.
 * @throws RangeError for a number that no double can hold, and for values nested too deeply for the stack.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError('a number is too large for JSON');
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] as Json)}`);
  return `{${members.join(',')}}`;
}

/** Tells an array from an object, also for the compiler. */
export function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
