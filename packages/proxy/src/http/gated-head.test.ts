import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsOf } from './field.ts';
import { GatedHead } from './gated-head.ts';

const name = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9-]{0,8}$/);
const value = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,12}$/).map((text) => text.trim());

function headOf(rawHeaders: readonly string[]): GatedHead {
  const passed = {
    path: '/acme/assistant/mcp',
    query: '',
    host: 'localhost',
    contentLength: 0,
    expectsContinue: false,
  };
  return new GatedHead('GET', { ...passed, fields: fieldsOf(rawHeaders) }, {});
}

describe('a compact head', () => {
  it('says what it said before', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (headers) => {
        const [plain, compact] = [headOf(headers.flat()), headOf(headers.flat())];
        compact.compact();
        compact.compact();
        expect(compact.path).toBe(plain.path);
        for (const [each] of headers) expect(compact.header(each.toLowerCase())).toBe(plain.header(each.toLowerCase()));
        expect(compact.header('absent')).toBeUndefined();
        expect(compact.withPrefix('x')).toEqual(plain.withPrefix('x'));
      }),
    );
  });
});
