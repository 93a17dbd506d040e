import { describe, expect, it } from 'vitest';
import { decodeHeaderValue } from './header-value.ts';

const encode = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;

describe('a header value', () => {
  it.each(['plain', '', 'with space', '=?base64?', '?=', '=?BASE64?w6Q=?='])(
    'is itself without exact markers: %j',
    (text) => {
      expect(decodeHeaderValue(text)).toBe(text);
    },
  );

  it.each(['ä', ' blanks ', '=?base64?x?=', ''])('is decoded between the markers: %j', (text) => {
    expect(decodeHeaderValue(encode(text))).toBe(text);
  });

  it.each(['=?base64?***?=', '=?base64?w6Q?=', '=?base64?/w==?=', '=?base64?w6Q= ?='])(
    'is nothing when it is not canonical base64 of UTF-8: %j',
    (text) => {
      expect(decodeHeaderValue(text)).toBeUndefined();
    },
  );
});
