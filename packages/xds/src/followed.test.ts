import { describe, expect, it } from 'vitest';
import { followedBy } from './followed.ts';
import { sendOrderOf } from './send-order.ts';
import { leafType, sealType, testFamily, testName, twigType } from './testing/memory-source.ts';
import { SessionDriver } from './testing/session-driver.ts';

const order = sendOrderOf(testFamily);
const glob = (collection: string) => testName(leafType, collection, '*');

/** A session that has asked for names of leaves, and seals of one collection. */
function asking(...names: readonly string[]): SessionDriver {
  const driver = new SessionDriver();
  driver.settle(driver.request({ typeUrl: leafType, resourceNamesSubscribe: [...names] }));
  return driver;
}

describe('what a stream follows', () => {
  it('is nothing before it has asked for anything', () => {
    const driver = new SessionDriver();
    driver.request({ typeUrl: leafType, resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] });
    expect(followedBy(driver.session, order, 'all')).toEqual(new Set());
  });

  it('is what its globs and names are of, in any type', () => {
    const driver = asking(glob('acme'), testName(leafType, 'globex', 'a'));
    driver.settle(driver.request({ typeUrl: sealType, resourceNamesSubscribe: [testName(sealType, 'initech', '*')] }));
    expect(followedBy(driver.session, order, 'all')).toEqual(new Set(['acme', 'globex', 'initech']));
  });

  it('is no longer what it has given up', () => {
    const driver = asking(glob('acme'), glob('globex'));
    driver.request({ typeUrl: leafType, resourceNamesUnsubscribe: [glob('acme')] });
    expect(followedBy(driver.session, order, 'all')).toEqual(new Set(['globex']));
  });

  it('is only what it may see', () => {
    const driver = asking(glob('acme'), glob('globex'));
    expect(followedBy(driver.session, order, new Set(['globex', 'initech']))).toEqual(new Set(['globex']));
  });

  it.each([
    ['a wildcard', '*'],
    ['a name that says nothing of its collection', 'plain-name'],
  ])('is everything that it may see with %s', (_what, name) => {
    const driver = asking(glob('acme'));
    driver.settle(driver.request({ typeUrl: twigType, resourceNamesSubscribe: [name] }));
    expect(followedBy(driver.session, order, 'all')).toBe('all');
  });

  it('has nothing to do with types that nobody serves', () => {
    const driver = asking(glob('acme'));
    driver.settle(driver.request({ typeUrl: 'test/Unknown', resourceNamesSubscribe: ['x'] }));
    expect(followedBy(driver.session, order, 'all')).toEqual(new Set(['acme']));
  });
});
