/** What a parser makes of a message: all that is authorised or routed by. */
export interface Reading {
  /** Undefined unless they are strings. */
  readonly method: string | undefined;
  readonly name: string | undefined;
  readonly uri: string | undefined;
  /** JSON text of the value; undefined when there is none. */
  readonly id: string | undefined;
  readonly args: string | undefined;
  readonly meta: string | undefined;
  readonly hasResult: boolean;
  readonly hasError: boolean;
}

/** A message as its parser gave it; undefined for anything but an object. */
export function readingOf(value: unknown): Reading | undefined {
  if (!isObject(value)) return undefined;
  const params = isObject(value['params']) ? value['params'] : {};
  return {
    method: textOf(value['method']),
    name: textOf(params['name']),
    uri: textOf(params['uri']),
    id: jsonOf(value, 'id'),
    args: jsonOf(params, 'arguments'),
    meta: jsonOf(params, '_meta'),
    hasResult: 'result' in value,
    hasError: 'error' in value,
  };
}

/** Names of the members in which two readings differ. */
export function differences(a: Reading, b: Reading, but: readonly (keyof Reading)[] = []): readonly string[] {
  const keys = Object.keys(a) as (keyof Reading)[];
  return keys.filter((key) => !but.includes(key) && a[key] !== b[key]);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The same text for the same value, whoever parsed it. */
function jsonOf(object: Readonly<Record<string, unknown>>, key: string): string | undefined {
  return key in object ? JSON.stringify(object[key]) : undefined;
}
