/**
 * Whether a path, which passed the gate, can be spelled in no other way that means the same: no empty segment, and only
 * escapes in upper case of characters that need one (RFC 3986 §6.2.2). Rules compare paths as texts.
 */
export function isStrictPath(path: string): boolean {
  return !path.includes('//') && !(path.includes('%') && needlessEscape.test(path));
}

/** A letter, a digit, `-`, `_` or `~` (the gate has refused `.`), or a digit in lower case. */
const needlessEscape = /%(?:2D|3\d|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])|%[a-f]|%\d[a-f]|%[A-F][a-f]/;
