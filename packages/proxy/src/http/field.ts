/** Names of headers (RFC 9110 §5.1, §5.6.2). */
export const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** One header as it was received. What can be told of it alone is told once, however many messages carry it. */
export class HeaderField {
  /** In lower case. */
  readonly name: string;
  /** Without the blanks around it. */
  readonly value: string;
  /** The value is visible ASCII, blanks and tabs. */
  readonly isVisible: boolean;
  /** A request in which it is repeated means something else to each reader. */
  readonly standsOnce: boolean;

  constructor(name: string, value: string) {
    this.name = name.toLowerCase();
    this.value = value;
    this.isVisible = !notVisibleAscii.test(value);
    this.standsOnce = singletons.has(this.name) || this.name.startsWith('mcp-');
  }
}

/** @param headers name, value, name, value … */
export function fieldsOf(headers: readonly string[]): HeaderField[] {
  const fields: HeaderField[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    fields.push(new HeaderField(headers[i] as string, headers[i + 1] as string));
  }
  return fields;
}

/** Value of the first header with a name. @param name in lower case. */
export function firstValue(fields: readonly HeaderField[], name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i] as HeaderField;
    if (field.name === name) return field.value;
  }
  return undefined;
}

/** Value of a header, repeated ones joined (RFC 9110 §5.3). @param name in lower case. */
export function joinedValue(fields: readonly HeaderField[], name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i] as HeaderField;
    if (field.name === name) value = value === undefined ? field.value : `${value}, ${field.value}`;
  }
  return value;
}

const singletons: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'expect',
  'origin',
]);
const notVisibleAscii = /[^\t\x20-\x7e]/;
