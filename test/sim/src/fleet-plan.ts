import type { RolloutPlan } from '@signalbox/config';
import { tenantRights } from '@signalbox/control-plane/testing';
import type { Random } from '@signalbox/runtime';

import type { NodePlan } from './simulated-node.ts';

export const tenants = ['acme', 'beta', 'gamma', 'delta'];

/** What one seed has. */
export interface FleetPlan {
  readonly replicas: number;
  readonly hasRelay: boolean;
  readonly nodes: readonly NodePlan[];
  /** Tenants whose revisions go in stages. */
  readonly rollouts: ReadonlyMap<string, RolloutPlan>;
  /** Somebody asks all the time how far revisions are. */
  readonly isWatched: boolean;
  /** How long messages take at most, in milliseconds. */
  readonly maxDelayMs: number;
  readonly streamAgeMs: number;
}

export function fleetPlan(random: Random): FleetPlan {
  const happens = (share: number) => random.fraction() < share;
  const maxDelayMs = happens(0.2) ? 150 : 8;
  const streamAgeMs = happens(0.5) ? 3_000 : 3_600_000;
  const replicas = 1 + Math.floor(random.fraction() * 3);
  const hasRelay = happens(0.3);
  const isStaged = happens(0.5);
  const nodes: NodePlan[] = [
    { id: 'all', rights: null, groups: ['canary'] },
    { id: 'acme', rights: tenantRights(['acme'], '') },
    { id: 'strict', rights: tenantRights(['acme', 'beta'], ''), routes: 2 },
    ...(happens(0.4) ? [{ id: 'gold', rights: tenantRights(['delta'], 'tier=gold') }] : []),
    ...(happens(0.4) ? [{ id: 'lazy', rights: null, isOnDemand: true }] : []),
    ...(hasRelay ? [{ id: 'below', rights: null, isBelowRelay: true }] : []),
  ];
  const rollouts = new Map(
    tenants.filter(() => isStaged && happens(0.6)).map((tenant) => [tenant, rolloutPlan(random)]),
  );
  return { replicas, hasRelay, nodes, rollouts, isWatched: happens(0.4), maxDelayMs, streamAgeMs };
}

type Stages = readonly Omit<RolloutPlan['stages'][number], 'soakMs'>[];

const ways: readonly Stages[] = [
  [{ percent: 0, groups: ['canary'], manual: false }],
  [{ percent: 30, groups: [], manual: false }],
  [
    { percent: 0, groups: ['canary'], manual: false },
    { percent: 60, groups: [], manual: false },
  ],
  [
    { percent: 50, groups: [], manual: true },
    { percent: 100, groups: [], manual: false },
  ],
];

const limits = { denialsPercent: 0, upstreamErrorsPercent: 0, latencyPercent: 0, minRequests: 20 };

function rolloutPlan(random: Random): RolloutPlan {
  const stages = ways[Math.floor(random.fraction() * ways.length)] ?? [];
  const soakMs = random.fraction() * 400;
  return { requiredBy: 'tenant', limits, stages: stages.map((stage) => ({ ...stage, soakMs })) };
}
