import { operatorScope } from '@signalbox/config';

import { tenants } from './fleet-plan.ts';
import { interfere } from './person.ts';
import { World } from './world.ts';

/** What became of one seed. */
export interface SeedRun {
  readonly seed: number;
  /** Empty: everything held. */
  readonly faults: readonly string[];
  readonly trace: readonly string[];
}

/** How long things go wrong, in simulated milliseconds. */
const troubleMs = 4_000;

/** One life of a fleet: a calm beginning, then trouble by seed, then time to come to rest. */
export async function runSeed(seed: number): Promise<SeedRun> {
  const world = new World(seed);
  world.write(operatorScope, { forMs: 1, ends: 'commit' });
  await world.wait(10);
  for (const tenant of tenants) world.write(tenant, { forMs: 1, ends: 'commit' });
  world.replicas.forEach((_, at) => world.startReplica(at));
  world.startRelay();
  for (const place of world.nodes) await world.startNode(place);
  await world.wait(world.pick(600));
  const until = world.clock.now() + troubleMs;
  while (world.clock.now() < until) {
    await trouble(world);
    await world.wait(world.pick(120));
  }
  await world.heal();
  const result = { seed, faults: world.atRest(), trace: world.trace };
  world.replicas.forEach((_, at) => world.killReplica(at));
  world.killRelay();
  for (const place of world.nodes) world.killNode(place);
  return result;
}

/** One thing happens. */
async function trouble(world: World): Promise<void> {
  const dice = world.random.fraction();
  const scope = tenants[world.pick(tenants.length)] as string;
  const place = world.nodes[world.pick(world.nodes.length)];
  const at = world.pick(world.replicas.length);
  const later = (withinMs: number, act: () => unknown) => world.clock.timer(world.pick(withinMs), act);
  if (dice < 0.45) world.write(scope, manner(world));
  else if (dice < 0.51) world.write(operatorScope, manner(world));
  else if (dice < 0.58) {
    world.note('a long transaction elsewhere');
    void world.database.hold(world.pick(3_000));
  } else if (dice < 0.68) {
    world.note(`the connection of ${place?.plan.id} is cut`);
    place?.link.pipe?.cut();
  } else if (dice < 0.74 && place) {
    world.killNode(place);
    later(1_000, () => void world.startNode(place));
  } else if (dice < 0.8) {
    world.killReplica(at);
    later(1_500, () => world.startReplica(at));
  } else if (dice < 0.83) {
    world.note('the database is away');
    world.database.stop();
    later(1_000, () => world.database.start());
  } else if (dice < 0.86) relayTrouble(world, later);
  else if (dice < 0.9) interfere(world);
  else request(world, scope);
}

function relayTrouble(world: World, later: (withinMs: number, act: () => unknown) => unknown): void {
  if (!world.plan.hasRelay) return;
  if (world.random.fraction() < 0.5) {
    world.note('the connection of the relay is cut');
    return world.relayLink.pipe?.cut();
  }
  world.killRelay();
  later(1_000, () => world.startRelay());
}

/** Some come for a tenant that is loaded on demand. */
function request(world: World, scope: string): void {
  const lazy = world.nodes.find(({ plan }) => plan.isOnDemand)?.running;
  if (!lazy) return;
  world.note(`a request for ${scope} comes to node lazy`);
  void lazy.request(scope, world.pick(300));
}

function manner(world: World) {
  const { random } = world;
  const forMs = random.fraction() < 0.2 ? random.fraction() * 2_000 : random.fraction() * 20;
  const ends = random.fraction() < 0.1 ? ('rollback' as const) : ('commit' as const);
  return { forMs, ends, ...(random.fraction() < 0.1 && { set: 'bad' as const }) };
}
