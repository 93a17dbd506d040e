import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RedisKeys } from './redis-keys.ts';

const keys = new RedisKeys('signalbox:');

describe('keys in Redis', () => {
  it('are never equal for two tenants, sessions or streams, whatever these are called', () => {
    const part = fc.oneof(fc.constantFrom('a', 'b', ':', 'a:b', 't', 'session', '%3A'), fc.string({ maxLength: 6 }));
    const place = fc.record({ tenant: part, session: part, stream: part });
    fc.assert(
      fc.property(place, place, (one, other) => {
        const isSame = JSON.stringify(one) === JSON.stringify(other);
        expect(keys.events(one) === keys.events(other)).toBe(isSame);
        expect(keys.events(one)).not.toBe(keys.about(other));
        expect(keys.record(one)).not.toBe(keys.events(other));
      }),
    );
  });
});
