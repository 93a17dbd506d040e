import type { Fleet } from '../discovery/fleet.ts';
import type { NodeStatus } from '../discovery/node-directory.ts';
import { nativeFamily } from '../projections/native.ts';
import { relayUserAgent } from '../relay/user-agent.ts';
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
    const replicas = this.#fleet.replicas();
    const late = replicas.find((each) => !each.isPartial && each.isAlive && (each.offered(scope) ?? 0n) < revision);
    if (late) return { incomplete: `replica ${late.name} has not read revision ${revision} yet` };
    const relays = new Set(replicas.filter(({ isPartial }) => isPartial).map(({ name }) => name));
    return this.#fleet.nodes().flatMap((node) => fleetNode(node, rollout, relays));
  }
}

/**
 * A node below a relay has what the relay has, which is a node itself: it is in no stage, and nobody waits for it. What it
 * refuses counts.
 */
function fleetNode(node: NodeStatus, { scope, revision }: Rollout, relays: ReadonlySet<string>): readonly FleetNode[] {
  const status = node.scope(scope);
  if (!status) return [];
  const { id, groups, leftAtMs, family, userAgent } = node;
  const connected = node.connected && !relays.has(node.replica);
  const { applied, refused } = status;
  const refusal = refused?.revision === revision ? reasonOf(refused.refusals) : undefined;
  const reports = family === nativeFamily.name && userAgent !== relayUserAgent;
  return [{ id, groups, connected, leftAtMs, applied, refusal, reports }];
}

const maxReason = 500;

function reasonOf(refusals: readonly { type: string; resource: string; message: string }[]): string {
  const [first] = refusals;
  if (!first) return 'without a reason';
  const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
  return `${first.type} ${first.resource}: ${first.message}`.slice(0, maxReason) + more;
}
