import { SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { type SessionFacts, SessionSeal } from './sealed-session.ts';
import { parseSessionKeys, randomSessionKeys } from './session-keys.ts';

const facts: SessionFacts = {
  name: 'session-name',
  tenant: 'acme',
  route: 'assistant',
  backend: 'acme/tools/1',
  principal: 'jwt:https://idp.example#älice',
  version: '2025-11-25',
  upstreamId: 'upstream-secret',
  expiresAt: 1_700_000_000_000,
};

const random = new SeededRandom(1);
const [oldKey] = randomSessionKeys(random);
const [newKey] = randomSessionKeys(random);

describe('a sealed session id', () => {
  it('opens to what was sealed, and shows none of it', () => {
    const seal = new SessionSeal([newKey], random);
    const { id } = seal.seal(facts);
    expect(seal.open(id)).toEqual(facts);
    expect(id).toMatch(/^[\x21-\x7e]{1,1000}$/);
    const bytes = Buffer.from(id.split('.')[1] as string, 'base64url').toString('latin1');
    for (const secret of ['upstream-secret', 'acme', 'älice']) expect(bytes).not.toContain(secret);
  });

  it('is never the same twice', () => {
    const seal = new SessionSeal([newKey], random);
    expect(seal.seal(facts).id).not.toBe(seal.seal(facts).id);
  });

  it('does not open when any bit of it is changed', () => {
    const seal = new SessionSeal([newKey], random);
    const [keyId, sealed] = seal.seal(facts).id.split('.') as [string, string];
    const bytes = Buffer.from(sealed, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(seal.open(`${keyId}.${changed.toString('base64url')}`)).toBeUndefined();
    }
    expect(seal.open(`${keyId}.${bytes.subarray(1).toString('base64url')}`)).toBeUndefined();
    expect(seal.open(`${keyId}.${sealed}=`)).toBeUndefined();
  });

  it('goes on opening while its key is rotated out, and no longer once the key is gone', () => {
    const { id } = new SessionSeal([oldKey], random).seal(facts);
    expect(new SessionSeal([newKey, oldKey], random).open(id)).toEqual(facts);
    expect(new SessionSeal([newKey], random).open(id)).toBeUndefined();
    const { id: rotated } = new SessionSeal([newKey, oldKey], random).seal(facts);
    expect(new SessionSeal([newKey], random).open(rotated)).toEqual(facts);
  });
});

describe('session keys', () => {
  it('are read newest first', () => {
    const texts = [random.bytes(32), random.bytes(32)].map((bytes) => bytes.toString('base64'));
    const read = parseSessionKeys(texts.join(', '));
    const single = parseSessionKeys(texts[1] as string);
    expect('keys' in read && 'keys' in single && read.keys[1]?.id === single.keys[0].id).toBe(true);
  });

  it.each(['', 'short', `${Buffer.alloc(32).toString('base64')},`, Buffer.alloc(31).toString('base64')])(
    'of another size are refused: %j',
    (text) => {
      expect(parseSessionKeys(text)).toHaveProperty('problem');
    },
  );
});
