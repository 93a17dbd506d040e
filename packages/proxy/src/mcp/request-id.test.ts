import fc from 'fast-check';
import { SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { clientIdOf, RequestIds } from './request-id.ts';

const mint = (ids: RequestIds, id: string): string => {
  const bytes = Buffer.from(`[${id}]`);
  return ids.mint(bytes, 1, bytes.length - 1);
};

describe('a minted id', () => {
  it('is a JSON string that gives the id of the client back, byte for byte', () => {
    const ids = new RequestIds(new SeededRandom(1));
    const clientId = fc.oneof(
      fc.integer().map(String),
      fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text)),
    );
    fc.assert(
      fc.property(clientId, (id) => {
        const minted = mint(ids, id);
        expect(typeof JSON.parse(minted)).toBe('string');
        expect(clientIdOf(minted)).toBe(id);
      }),
    );
  });

  it('is never minted twice, by one process or by two', () => {
    const first = new RequestIds(new SeededRandom(1));
    const second = new RequestIds(new SeededRandom(2));
    const minted = Array.from({ length: 1_000 }, (_, i) => mint(i % 2 === 0 ? first : second, '1'));
    expect(new Set(minted).size).toBe(1_000);
  });

  it.each([
    '"x"',
    '"sb."',
    '"sb.abcdefgh.1.!"',
    '"sb.abcdefgh.1."',
    '"sb.abcdefgh.1.e30"',
    '"sb.abcdefgh.1.bnVsbA"',
    '5',
  ])('is not seen in %s', (id) => {
    expect(clientIdOf(id)).toBeUndefined();
  });
});
