/** Names of headers (RFC 9110 §5.1, §5.6.2). */
export const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Blanks and tabs around the value of a header do not belong to it (RFC 9110 §5.5); no other character is trimmed. */
export function withoutBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** Whether a character is a blank or a tab. */
export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Value of a header, repeated ones joined (RFC 9110 §5.3). @param names in lower case, in the order of `values`. */
export function joinedValue(names: readonly string[], values: readonly string[], name: string): string | undefined {
  let at = names.indexOf(name);
  if (at < 0) return undefined;
  let value = values[at] as string;
  while ((at = names.indexOf(name, at + 1)) > 0) value += `, ${values[at]}`;
  return value;
}
