import type { Fleet } from '../discovery/fleet.ts';
import type { NodeStatus } from '../discovery/node-directory.ts';
import type { FleetNode } from './decide.ts';
import type { RolloutFleet } from './driver.ts';
import type { Rollout } from './rollout.ts';

/** The nodes of all replicas, as rollouts see them. */
export class FleetNodes implements RolloutFleet {
  readonly #fleet: Pick<Fleet, 'nodes' | 'replicas' | 'incomplete' | 'follow' | 'refresh'>;

  constructor(fleet: Pick<Fleet, 'nodes' | 'replicas' | 'incomplete' | 'follow' | 'refresh'>) {
    this.#fleet = fleet;
  }

  follow(): Disposable {
    return this.#fleet.follow();
  }

  refresh(): Promise<void> {
    return this.#fleet.refresh();
  }

  nodes(rollout: Rollout): readonly FleetNode[] | { readonly incomplete: string } {
    const { incomplete } = this.#fleet;
    if (incomplete !== undefined) return { incomplete };
    const { scope, revision } = rollout;
    const late = this.#fleet.replicas().find((each) => each.isAlive && (each.offered(scope) ?? 0n) < revision);
    if (late) return { incomplete: `replica ${late.name} has not read revision ${revision} yet` };
    return this.#fleet.nodes().flatMap((node) => fleetNode(node, rollout));
  }
}

function fleetNode(node: NodeStatus, { scope, revision }: Rollout): readonly FleetNode[] {
  const status = node.scope(scope);
  if (!status) return [];
  const { id, groups, connected, leftAtMs } = node;
  const { applied, refused } = status;
  const refusal = refused?.revision === revision ? reasonOf(refused.refusals) : undefined;
  return [{ id, groups, connected, leftAtMs, applied, refusal }];
}

const maxReason = 500;

function reasonOf(refusals: readonly { type: string; resource: string; message: string }[]): string {
  const [first] = refusals;
  if (!first) return 'without a reason';
  const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
  return `${first.type} ${first.resource}: ${first.message}`.slice(0, maxReason) + more;
}
