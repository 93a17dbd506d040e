/** The bytes that JSON's grammar names (RFC 8259), and what each byte means inside a string. */
export const quote = 0x22;
export const plus = 0x2b;
export const comma = 0x2c;
export const minus = 0x2d;
export const dot = 0x2e;
export const zero = 0x30;
export const nine = 0x39;
export const colon = 0x3a;
export const openBracket = 0x5b;
export const backslash = 0x5c;
export const closeBracket = 0x5d;
export const openBrace = 0x7b;
export const closeBrace = 0x7d;

/** 1 for bytes that end or interrupt a run of string bytes: quotes, backslashes, control characters. */
export const special = new Uint8Array(256).fill(1, 0, 0x20);
special[quote] = 1;
special[backslash] = 1;

/** 1 for bytes that may follow a backslash, `u` aside. */
export const escapable = marked('"\\/bfnrt');

/** 1 for hexadecimal digits. */
export const hexDigits = marked('0123456789abcdefABCDEF');

function marked(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}
