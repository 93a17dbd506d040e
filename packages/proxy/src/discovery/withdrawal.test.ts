import { describe, expect, it } from 'vitest';
import { operatorSet } from '../testing/config-sets.ts';
import { keptTenants } from './withdrawal.ts';

const limits = { minimum: 2, percent: 50 };
const served = ['a', 'b', 'c'];
const inputs = { operator: operatorSet(1n, served), operatorInOrder: true, served, limits };
const kept = (withdrawn: readonly string[], more: Partial<typeof inputs> = {}) => [
  ...keptTenants({ ...inputs, withdrawn, ...more }),
];

describe('tenants that the control plane withdraws', () => {
  it('go when the operator’s set does not name them, however many they are', () => {
    expect(kept(served, { operator: operatorSet(2n, []) })).toEqual([]);
  });

  it('go when they are few and the control plane is in order: the node’s credential has changed', () => {
    expect(kept(['a'])).toEqual([]);
  });

  it('stay when they are more than may go without a confirmation', () => {
    expect(kept(['a', 'b'])).toEqual(['a', 'b']);
  });

  it('stay, even one, when the control plane has not the operator’s newest state', () => {
    expect(kept(['a'], { operatorInOrder: false })).toEqual(['a']);
  });

  it('are not kept when they were not served', () => {
    expect(kept(['a', 'b'], { served: ['c'] })).toEqual([]);
  });
});
