import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FieldLines } from './field-lines.ts';

describe('the header lines of a connection', () => {
  it('are read as if no message had come before, whatever messages did', () => {
    const line = fc.oneof(
      fc.constantFrom('a: 1', 'a: 12', 'a:1', 'A: 1', 'b: ', 'Content-Length: 5', 'Content-Length: 5 ', 'a', ': 1'),
      fc.constantFrom('a: 1\r', '\ra: 1', 'a: \n', 'a: 1\n', 'a : 1', ' a: 1', '', 'a: \u00e9', 'a: \u0000', 'é: 1'),
    );
    const head = fc.tuple(fc.constantFrom('', 'x', 'GET / HTTP/1.1\r\n'), fc.array(line, { maxLength: 5 }));
    fc.assert(
      fc.property(fc.array(head, { maxLength: 6 }), fc.boolean(), (heads, isServer) => {
        const lines = new FieldLines(isServer);
        for (const [before, after] of heads) {
          const text = before + after.join('\r\n');
          const fresh = new FieldLines(isServer).read(text, before.length);
          expect(lines.read(text, before.length)).toEqual(fresh);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('keep their text from message to message, and each message its own fields', () => {
    const lines = new FieldLines(true);
    const first = lines.read('Authorization: Bearer x\r\nContent-Length: 1', 0);
    const second = lines.read('Authorization: Bearer x\r\nContent-Length: 2', 0);
    if (typeof first === 'string' || typeof second === 'string') throw new Error('refused');
    expect([first, second].map((fields) => fields[1]?.value)).toEqual(['1', '2']);
    const third = lines.read('Authorization: Bearer x\r\nContent-Length: 3', 0);
    expect(third[0]).toBe(second[0]);
    lines.forget();
    const fourth = lines.read('Authorization: Bearer x', 0);
    expect(fourth[0]).not.toBe(second[0]);
    expect(fourth).toEqual([first[0]]);
  });
});
