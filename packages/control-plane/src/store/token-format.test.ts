import { systemRandom } from '@signalbox/runtime';
import { SeededRandom } from '@signalbox/runtime/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { newToken, tokenHash, tokenId } from './token-format.ts';

const text = newToken(new SeededRandom(1)).text.reveal();

describe('a credential', () => {
  it('names its id, 256 bits and a checksum', () => {
    const { id, text: credential } = newToken(systemRandom);
    expect(credential.reveal()).toMatch(new RegExp(`^sbk_${id}_[0-9a-f]{64}_[0-9a-f]{8}$`));
    expect(tokenId(credential.reveal())).toBe(id);
  });

  it('is never printed', () => {
    expect(JSON.stringify(newToken(systemRandom))).not.toContain('sbk_');
  });

  it('with any one character changed is none', () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...Array.from('0123456789abcdefg_X ')), (at, character) => {
        fc.pre(text[at] !== character);
        expect(tokenId(text.slice(0, at) + character + text.slice(at + 1))).toBeUndefined();
      }),
    );
  });

  it.each(['', 'sbk_', `${text} `, ` ${text}`, text.toUpperCase(), text.slice(0, -1), `${text}\n`])(
    'is not %j',
    (other) => {
      expect(tokenId(other)).toBeUndefined();
    },
  );

  it('is compared by its hash', () => {
    expect(tokenHash(text)).toHaveLength(32);
    expect(tokenHash(text)).toEqual(tokenHash(text));
    expect(tokenHash(`${text}x`)).not.toEqual(tokenHash(text));
  });
});
