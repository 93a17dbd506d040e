import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestBody } from './request-body.ts';

describe('a body in pieces', () => {
  it('that is one piece is that piece', () => {
    const body = new RequestBody();
    const read = Buffer.from('head body');
    body.add(read, 5, 9);
    const taken = body.take();
    expect([taken.toString(), taken.buffer === read.buffer]).toEqual(['body', true]);
  });

  it('is what was added, whatever the sizes', () => {
    const piece = fc.oneof(fc.nat(10), fc.integer({ min: 1_000, max: 1_050 }), fc.nat(40_000)).map((size) => size + 1);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (sizes) => {
        const pieces = sizes.map((size, i) => Buffer.alloc(size, i + 1));
        const body = new RequestBody();
        for (const each of pieces) body.add(each, 0, each.length);
        const whole = Buffer.concat(pieces);
        expect(body.length).toBe(whole.length);
        expect(body.take().equals(whole)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
