import { fromBinary } from '@bufbuild/protobuf';
import { PolicySchema } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { Promotion, type Rollout } from '@signalbox/proto/signalbox/config/v1/rollout_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import { durationMs } from '../resources/duration.ts';
import { resourceKey, type Snapshot, type StoredResource } from '../snapshot.ts';

/** In which steps a revision reaches nodes. Plain data: it is kept with each rollout that follows it. */
export interface RolloutPlan {
  /** Who asks for it. */
  readonly requiredBy: 'operator' | 'tenant';
  readonly stages: readonly StagePlan[];
  readonly limits: HealthLimits;
}

export interface StagePlan {
  /** Share of all nodes, 1 to 100; 0: none. */
  readonly percent: number;
  readonly groups: readonly string[];
  readonly soakMs: number;
  /** The next stage waits for somebody to promote the rollout. */
  readonly manual: boolean;
}

/** How much worse nodes with a revision may do than those without it. 0: not looked at. */
export interface HealthLimits {
  /** Percentage points of requests. */
  readonly denialsPercent: number;
  readonly upstreamErrorsPercent: number;
  /** 99th percentile, in percent of that of the others. */
  readonly latencyPercent: number;
  /** Fewer requests say nothing. */
  readonly minRequests: number;
}

const defaultMinRequests = 20;

/**
 * The plan that governs what is written on top of a tenant's snapshot: the operator's for this tenant, or else the
 * tenant's own; undefined if neither asks for stages.
 */
export function rolloutPlanOf(tenant: Snapshot, operator: Snapshot): RolloutPlan | undefined {
  const owner = operator.resources.get(resourceKey({ kind: 'Tenant', name: tenant.scope }));
  return (owner && planIn(owner)) ?? ownPlan(tenant);
}

function ownPlan({ resources }: Snapshot): RolloutPlan | undefined {
  for (const resource of resources.values()) {
    const plan = resource.kind === 'Policy' ? planIn(resource) : undefined;
    if (plan) return plan;
  }
  return undefined;
}

/** Snapshots share the resources that do not change, and every write asks. */
const plans = new WeakMap<StoredResource, { readonly plan: RolloutPlan | undefined }>();

function planIn(resource: StoredResource): RolloutPlan | undefined {
  let known = plans.get(resource);
  if (!known) {
    const schema = resource.kind === 'Tenant' ? TenantSchema : PolicySchema;
    const { rollout } = fromBinary(schema, resource.body);
    const requiredBy = resource.kind === 'Tenant' ? 'operator' : 'tenant';
    known = { plan: rollout && { requiredBy, ...planOf(rollout) } };
    plans.set(resource, known);
  }
  return known.plan;
}

function planOf({ stages, limits }: Rollout): Omit<RolloutPlan, 'requiredBy'> {
  return {
    stages: stages.map(({ percent, groups, soak, promotion }) => ({
      percent,
      groups: [...groups],
      soakMs: soak === '' ? 0 : durationMs(soak),
      manual: promotion === Promotion.MANUAL,
    })),
    limits: {
      denialsPercent: limits?.denialsPercent ?? 0,
      upstreamErrorsPercent: limits?.upstreamErrorsPercent ?? 0,
      latencyPercent: limits?.latencyPercent ?? 0,
      minRequests: limits?.minRequests || defaultMinRequests,
    },
  };
}
