import { operatorScope } from '@signalbox/config';
import { propagationOf, type WatchedRevision } from '@signalbox/control-plane/testing';

import { returnMs } from './simulated-replica.ts';
import type { NodePlace, World } from './world.ts';

/** How often somebody asks, in milliseconds. */
const askMs = 60;
/** A connection that has lasted so long has been told of. */
const knownMs = 700;

/** A revision, and the processes that were surely known to be connected when it was committed. */
interface Watched extends WatchedRevision {
  readonly known: readonly { readonly place: NodePlace; readonly startedAtMs: number }[];
}

/**
 * Somebody who asks all the time whether everybody runs the newest revisions. A "yes" is held against what nodes serve that
 * were known to be there at the commit and have not been restarted since: who is restarted may serve an older state of its disk.
 */
export class PropagationWatch {
  readonly #world: World;
  readonly #watched = new Map<string, Watched>();
  /** How often "yes" was said. A world in which it never is shows nothing. */
  yes = 0;

  constructor(world: World) {
    this.#world = world;
    world.database.onSet(({ scope, revision }) => {
      if (scope === operatorScope) return;
      this.#watched.set(scope, { scope, revision, committedAtMs: world.clock.now(), known: this.#known() });
    });
    world.clock.interval(askMs, () => this.#ask());
  }

  #known(): Watched['known'] {
    const { nodes, clock, database, relayLink } = this.#world;
    if (!database.isUp) return [];
    const isLong = ({ connectedSinceMs = Infinity }: NodePlace['link']) => clock.now() - connectedSinceMs >= knownMs;
    // Of those below it nobody else can speak.
    const isTold = ({ plan, link }: NodePlace) => isLong(link) && (plan.isBelowRelay !== true || isLong(relayLink));
    return nodes
      .filter((place) => place.running && isTold(place))
      .map((place) => ({ place, startedAtMs: place.startedAtMs }));
  }

  #ask(): void {
    const { replicas, invariants } = this.#world;
    for (const [at, replica] of replicas.entries()) {
      if (!replica?.publisher.ready) continue;
      const state = replica.fleet.state();
      for (const watched of this.#watched.values()) {
        const { scope, revision } = watched;
        if (replica.publisher.get(scope) === undefined) continue;
        if (propagationOf(watched, state, returnMs).outcome !== 'complete') continue;
        this.yes += 1;
        const late = watched.known.filter((each) => this.#isLate(each, watched)).map(({ place }) => place.plan.id);
        if (late.length > 0)
          invariants.report(`replica ${at} says that all run ${scope}@${revision}, and ${late.join(', ')} does not`);
      }
    }
  }

  #isLate({ place, startedAtMs }: Watched['known'][number], { scope, revision }: Watched): boolean {
    const { plan, running } = place;
    if (!running || place.startedAtMs !== startedAtMs) return false;
    // What these two have asked for, and may see, changes all the time.
    if (plan.isOnDemand === true || plan.rights?.selector) return false;
    if (plan.rights && !plan.rights.names.has(scope)) return false;
    const tenant = running.current.value?.tenants.get(scope);
    return tenant !== undefined && tenant.revision < revision;
  }
}
