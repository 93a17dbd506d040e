import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { frameMessage, messageIn, MessageReader } from './grpc-framing.ts';

describe('MessageReader', () => {
  it('gives the messages that were framed, however their bytes arrive', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (sent, sizes) => {
        const bytes = Buffer.concat(sent.map((message) => frameMessage([message])));
        const reader = new MessageReader(40);
        const received: Uint8Array[] = [];
        for (let at = 0, n = 0; at < bytes.length; n += 1) {
          const size = sizes[n % sizes.length] ?? 1;
          reader.push(bytes.subarray(at, at + size));
          at += size;
          for (let next = reader.next(); typeof next === 'object'; next = reader.next()) received.push(next);
        }
        expect(received.map((each) => [...each])).toEqual(sent.map((each) => [...each]));
      }),
    );
  });

  it('refuses a message above the limit as soon as its length is known', () => {
    const reader = new MessageReader(3);
    reader.push(Buffer.from([0, 0, 0, 0, 4]));
    expect(reader.next()).toBe('too-large');
  });

  it('refuses a compressed message', () => {
    const reader = new MessageReader(3);
    reader.push(Buffer.from([1, 0, 0, 0, 0]));
    expect(reader.next()).toBe('compressed');
  });

  it('reads a message of exactly the limit, and one without content', () => {
    const reader = new MessageReader(2);
    reader.push(Buffer.concat([frameMessage([Buffer.from('ab')]), frameMessage([])]));
    expect(String(reader.next())).toBe('ab');
    expect(String(reader.next())).toBe('');
    expect(reader.next()).toBeUndefined();
  });
});

describe('frameMessage', () => {
  it('puts parts together behind one prefix', () => {
    const frame = frameMessage([Buffer.from('ab'), Buffer.from('c')]);
    expect([...frame]).toEqual([0, 0, 0, 0, 3, 97, 98, 99]);
    expect(String(messageIn(frame))).toBe('abc');
  });
});
