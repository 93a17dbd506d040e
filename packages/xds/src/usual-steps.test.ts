import { describe, expect, it } from 'vitest';

import { leafType, sealType, twigType } from './testing/memory-source.ts';
import { SessionDriver } from './testing/session-driver.ts';

// The driver itself compares each usual step with a whole one.
describe('usual steps', () => {
  it('are what a stream takes that follows everything: it moves on, and acknowledges each response', () => {
    const driver = new SessionDriver();
    driver.source.commit('acme', { leaves: { a: '1' }, twigs: { t: '1' } });
    for (const typeUrl of [leafType, twigType, sealType]) driver.settle(driver.request({ typeUrl }));
    const before = driver.usualSteps;
    driver.source.commit('acme', { leaves: { a: '2' } });
    const sent = driver.settle();
    expect(sent.map(({ type, updated }) => [type, updated.length])).toEqual([
      [leafType, 1],
      [sealType, 1],
    ]);
    expect(driver.usualSteps - before).toBe(1 + sent.length);
    expect(driver.effectsOf('acked').at(-1)?.collections).toEqual([{ id: 'acme', revision: 2n }]);
  });

  it('are not those of a stream that has named something, or refuses', () => {
    const driver = new SessionDriver();
    driver.source.commit('acme', { leaves: { a: '1' } });
    driver.settle(driver.request({ typeUrl: leafType, resourceNamesSubscribe: ['*', 'b'] }));
    driver.settle(driver.request({ typeUrl: sealType }));
    const before = driver.usualSteps;
    driver.source.commit('acme', { leaves: { a: '2' } });
    for (const response of driver.take()) driver.nack(response, 'no');
    expect(driver.usualSteps).toBe(before);
  });
});
