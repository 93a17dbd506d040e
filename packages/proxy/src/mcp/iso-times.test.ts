import fc from 'fast-check';
import { expect, it } from 'vitest';
import { IsoTimes } from './iso-times.ts';

it('says of any times in any order what Date says', () => {
  const near = fc.integer({ min: 1_795_000_000_000, max: 1_795_000_003_000 });
  const far = fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 });
  fc.assert(
    fc.property(fc.array(fc.oneof(near, far), { maxLength: 20 }), (times) => {
      const isoTimes = new IsoTimes();
      for (const at of times) expect(isoTimes.of(at)).toBe(new Date(at).toISOString());
    }),
  );
});
