import { defaultTableLimits, operatorScope, type Snapshot } from '@signalbox/config';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { CurrentTable } from '../table/current-table.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { operatorSet, tenantSet } from '../testing/config-sets.ts';
import { Activation, type Change } from './activation.ts';

function fixture(limits = defaultTableLimits) {
  const current = new CurrentTable();
  const swaps: string[] = [];
  current.observe({ onSwap: (_previous, next) => void swaps.push(next.hash), onRetired: () => undefined });
  const activation = new Activation(current, new TimeSlice(new ManualClock(), 2), limits);
  const apply = (...sets: readonly Snapshot[]) => activation.apply(changeOf(sets));
  const routes = (tenant: string) => [...(current.value?.tenants.get(tenant)?.routes.keys() ?? [])];
  return { activation, current, swaps, apply, routes };
}

function changeOf(sets: readonly Snapshot[], extra: Partial<Change> = {}): Change {
  return { sets: new Map(sets.map((set) => [set.scope, set])), dropped: new Set(), ...extra };
}

const operator = operatorSet(1n, ['acme', 'beta']);
const acme = tenantSet('acme', 1n, { routes: ['a'] });
const acme2 = tenantSet('acme', 2n, { routes: ['a', 'b'] });
const badAcme = tenantSet('acme', 2n, { routes: ['a', 'b'], virtualServer: 'missing' });
const beta = tenantSet('beta', 1n, { routes: ['x'] });

describe('an activation', () => {
  it('serves all scopes of a change with one swap', async () => {
    const { apply, swaps, routes, current } = fixture();
    const { activated, refused } = await apply(operator, acme, beta);
    expect(activated.map(({ scope }) => scope)).toEqual([operatorScope, 'acme', 'beta']);
    expect(refused.size).toBe(0);
    expect(swaps).toHaveLength(1);
    expect([routes('acme'), routes('beta')]).toEqual([['a'], ['x']]);
    expect(
      current.value?.match({ gateway: 'default', host: 'localhost', path: '/acme/a/mcp', header: () => undefined })
        ?.name,
    ).toBe('a');
  });

  it('shares the tables of tenants that a change does not name', async () => {
    const { apply, current } = fixture();
    await apply(operator, acme, beta);
    const before = current.value?.tenants.get('beta');
    await apply(acme2);
    expect(current.value?.tenants.get('beta')).toBe(before);
    expect(current.value?.tenants.get('acme')?.revision).toBe(2n);
  });

  it('keeps the old set of a scope whose new one is refused, and serves the others', async () => {
    const { apply, routes, activation } = fixture();
    await apply(operator, acme, beta);
    const { activated, refused } = await apply(badAcme, tenantSet('beta', 2n, { routes: ['y'] }));
    expect(activated.map(({ scope }) => scope)).toEqual(['beta']);
    expect([...refused.keys()]).toEqual(['acme']);
    expect(refused.get('acme')?.[0]?.kind).toBe('Route');
    expect([routes('acme'), routes('beta')]).toEqual([['a'], ['y']]);
    expect(activation.active('acme')).toBe(acme);
  });

  it('does not swap when everything is refused', async () => {
    const { apply, swaps } = fixture();
    await apply(operator, acme);
    await apply(badAcme);
    expect(swaps).toHaveLength(1);
  });

  it('changes nothing at all when one scope is refused and the change is all or nothing', async () => {
    const { apply, activation, swaps, routes } = fixture();
    await apply(operator, acme, beta);
    const sets = [badAcme, tenantSet('beta', 2n, { routes: ['y'] })];
    const { activated } = await activation.apply(changeOf(sets, { allOrNothing: true }));
    expect(activated).toEqual([]);
    expect(swaps).toHaveLength(1);
    expect(routes('beta')).toEqual(['x']);
  });

  it('refuses a tenant before the operator’s set, and one that the operator does not name', async () => {
    const { apply, current } = fixture();
    const early = await apply(acme);
    expect(early.refused.get('acme')?.[0]?.message).toContain('not been received');
    expect(current.value).toBeUndefined();
    const unknown = await apply(operatorSet(1n, ['beta']), acme);
    expect(unknown.refused.get('acme')?.[0]?.message).toContain('no Tenant');
    expect(current.value?.tenants.has('acme')).toBe(false);
  });

  it('compiles every tenant again under a new operator’s set', async () => {
    const { apply, swaps, routes } = fixture();
    await apply(operator, acme, beta);
    const { activated } = await apply(operatorSet(2n, ['acme', 'beta', 'gamma'], 9090));
    expect(activated.map(({ scope }) => scope)).toEqual([operatorScope]);
    expect(swaps).toHaveLength(2);
    expect([routes('acme'), routes('beta')]).toEqual([['a'], ['x']]);
  });

  it('drops tenants that are gone, or that the operator’s new set no longer names', async () => {
    const { apply, activation, current } = fixture();
    await apply(operator, acme, beta);
    const gone = await activation.apply(changeOf([], { dropped: new Set(['beta']) }));
    expect(gone.dropped).toEqual(['beta']);
    expect([...(current.value?.tenants.keys() ?? [])]).toEqual(['acme']);
    const unnamed = await apply(operatorSet(2n, ['beta']));
    expect(unnamed.dropped).toEqual(['acme']);
    expect(current.value?.tenants.size).toBe(0);
  });

  it('refuses an operator’s set under which a tenant that is served could not be', async () => {
    const { apply, activation, routes } = fixture();
    await apply(operator, acme);
    const tenants = [...operator.resources.values()].filter(({ kind }) => kind === 'Tenant');
    const withoutGateway: Snapshot = {
      ...operator,
      revision: 2n,
      resources: new Map(tenants.map((resource) => [`${resource.kind}/${resource.name}`, resource])),
    };
    const { refused, activated } = await apply(withoutGateway, beta);
    expect([...refused.keys()]).toEqual([operatorScope]);
    expect(activated.map(({ scope }) => scope)).toEqual(['beta']);
    expect(activation.active(operatorScope)).toBe(operator);
    expect([routes('acme'), routes('beta')]).toEqual([['a'], ['x']]);
  });

  it('serves a tenant’s old set under a new operator’s set when its new one is refused', async () => {
    const { apply, activation, routes } = fixture();
    await apply(operator, acme);
    const { refused, activated } = await apply(operatorSet(2n, ['acme', 'beta'], 9090), badAcme);
    expect([...refused.keys()]).toEqual(['acme']);
    expect(activated.map(({ scope }) => scope)).toEqual([operatorScope]);
    expect(activation.active('acme')).toBe(acme);
    expect(routes('acme')).toEqual(['a']);
  });

  it('refuses a set with more routes than this node serves, whole', async () => {
    const { apply, routes } = fixture({ ...defaultTableLimits, routes: 1 });
    await apply(operator, acme);
    const { refused } = await apply(acme2);
    expect(refused.get('acme')?.map(({ code }) => code)).toEqual(['limit-exceeded']);
    expect(routes('acme')).toEqual(['a']);
  });

  it('lets requests run while it compiles a large set', async () => {
    let reads = 0;
    const slice = new TimeSlice({ monotonic: () => (reads += 1) }, 2);
    const current = new CurrentTable();
    const activation = new Activation(current, slice, defaultTableLimits);
    let turns = 0;
    const countTurn = () => {
      turns += 1;
      if (!current.value) setImmediate(countTurn);
    };
    setImmediate(countTurn);
    const routes = Array.from({ length: 1_000 }, (_, at) => `route-${at}`);
    await activation.apply(changeOf([operator, tenantSet('acme', 1n, { routes })]));
    // Time passes with every look at the clock, so a slice lasts for two steps.
    expect(turns).toBeGreaterThan(10);
    expect(turns).toBeGreaterThanOrEqual(Math.floor(reads / 5));
  });
});
