import type { McpSubject } from '@signalbox/config';
import fc from 'fast-check';
import { SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { readMintedId, RequestIds } from './request-id.ts';

const mint = (ids: RequestIds, id: string, subject?: McpSubject): string => {
  const bytes = Buffer.from(`[${id}]`);
  return ids.mint(bytes, { start: 1, end: bytes.length - 1 }, subject);
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
        expect(readMintedId(minted)).toEqual({ clientId: id, subject: undefined });
      }),
    );
  });

  it.each([
    { kind: 'tool', name: 'écho.tool' },
    { kind: 'prompt', name: '' },
    { kind: 'resource', uri: 'test://a?b=c' },
  ] as const)('says what the request is about: %j', (subject) => {
    const ids = new RequestIds(new SeededRandom(1));
    expect(readMintedId(mint(ids, '1', subject))).toEqual({ clientId: '1', subject });
    expect(readMintedId(mint(ids, '1', subject))).toEqual({ clientId: '1', subject });
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
    expect(readMintedId(id)).toBeUndefined();
  });
});
