import { describe, expect, it } from 'vitest';
import type { Kind } from '../kind.ts';
import { decodeDocument } from '../resource.ts';
import { makeSnapshot, type Snapshot } from '../snapshot.ts';
import { rolloutPlanOf } from './rollout.ts';

function snapshot(scope: string, resources: readonly (readonly [Kind, string, object])[]): Snapshot {
  const stored = resources.map(([kind, name, spec]) => {
    const tenant = scope === 'operator' ? '' : scope;
    const { resource, problems } = decodeDocument({ kind, tenant, name, spec: spec as never });
    if (!resource) throw new Error(JSON.stringify(problems));
    return resource.stored;
  });
  return makeSnapshot(scope, 1n, stored);
}

const stagesOf = (percent: number) => ({ rollout: { stages: [{ percent }] } });
const policy = (percent: number) => ['Policy', 'p', { target: { tenant: {} }, ...stagesOf(percent) }] as const;

describe('the plan of a rollout', () => {
  it.each([
    ['nobody asks for one', [], {}, undefined],
    ['the tenant asks for one', [policy(10)], {}, 10],
    ['the operator asks for one', [], stagesOf(20), 20],
    ['both do: the operator’s', [policy(10)], stagesOf(20), 20],
  ])('when %s', (_when, policies, tenant, percent) => {
    const operator = snapshot('operator', [['Tenant', 'acme', tenant]]);
    const plan = rolloutPlanOf(snapshot('acme', policies), operator);
    expect(plan?.stages[0]?.percent).toBe(percent);
  });

  it('has times in milliseconds, and defaults for what was left out', () => {
    const stages = [{ groups: ['canary'], soak: '1h30m', promotion: 'MANUAL' }, { percent: 50 }];
    const operator = snapshot('operator', [['Tenant', 'acme', { rollout: { stages } }]]);
    expect(rolloutPlanOf(snapshot('acme', []), operator)).toEqual({
      requiredBy: 'operator',
      stages: [
        { percent: 0, groups: ['canary'], soakMs: 5_400_000, manual: true },
        { percent: 50, groups: [], soakMs: 0, manual: false },
      ],
      limits: { denialsPercent: 0, upstreamErrorsPercent: 0, latencyPercent: 0, minRequests: 20 },
    });
  });
});
