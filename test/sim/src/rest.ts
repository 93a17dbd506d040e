import { kinds, operatorScope, type Snapshot, typeUrlOf } from '@signalbox/config';
import type { Publisher } from '@signalbox/control-plane/testing';

import { setsIn } from './invariants.ts';
import type { NodePlace, World } from './world.ts';

/** What is not as it has to be when everything works. */
export function faultsAtRest(world: World): readonly string[] {
  return [...unfinished(world), ...unlikeDatabase(world), ...world.nodes.flatMap((place) => behind(world, place))];
}

function unfinished({ database }: World): readonly string[] {
  return database.underWay().map(({ scope, revision, state, stage }) => {
    return `the rollout of ${scope}@${revision} is still ${state} in stage ${stage}`;
  });
}

/** Every replica, and the relay, publishes exactly what is committed, in the same bytes. */
function unlikeDatabase({ replicas, relay, plan, database }: World): readonly string[] {
  const faults: string[] = [];
  const publishers: [string, Publisher | undefined][] = replicas.map((replica, at) => [
    `replica ${at}`,
    replica?.publisher,
  ]);
  if (plan.hasRelay) publishers.push(['the relay', relay?.publisher]);
  const bytes = bytesOf(replicas[0]?.publisher);
  for (const [name, publisher] of publishers) {
    for (const [scope, set] of database.live()) {
      const published = publisher?.snapshot(scope);
      if (published?.hash !== set.hash || published.revision !== set.revision)
        faults.push(`${name} publishes ${scope}@${published?.revision}, committed is ${set.revision}`);
      if (publisher?.staged(scope)) faults.push(`${name} has ${scope} in stages`);
    }
    if (bytesOf(publisher) !== bytes) faults.push(`${name} publishes other bytes than replica 0`);
  }
  return faults;
}

function bytesOf(publisher: Publisher | undefined): string {
  const types = [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind));
  const entries = [...(publisher?.ids() ?? [])].flatMap((id) =>
    types.flatMap((typeUrl) =>
      Array.from(publisher?.get(id)?.all(typeUrl) ?? [], ({ encoded }) => encoded.toString('base64')),
    ),
  );
  return entries.sort().join();
}

/** Every node ends on the newest revision of all that it may see, has asked for and can serve, and has nothing else. */
function behind({ database, operator }: World, { plan, running }: NodePlace): readonly string[] {
  const { id, rights, routes = Infinity } = plan;
  const table = running?.current.value;
  const sets = table ? setsIn(table) : new Map<string, { readonly revision: bigint; readonly hash: string }>();
  const live = database.live();
  const isDue = (scope: string) =>
    scope === operatorScope ||
    (operator.covers(rights, scope, 'now') && (running?.demand ? running.demand.wants(scope) : true));
  const isServed = (scope: string, { revision, hash }: Snapshot) =>
    scope === operatorScope && rights
      ? sets.get(scope)?.hash === operator.hash(rights, revision)
      : sets.get(scope)?.revision === revision && sets.get(scope)?.hash === hash;
  const faults: string[] = [...(running ? [] : [`node ${id} does not run`])];
  for (const [scope, set] of live) {
    const size = [...set.resources.values()].filter(({ kind }) => kind === 'Route').length;
    if (!isDue(scope) || size > routes || isServed(scope, set)) continue;
    faults.push(`node ${id} ends on ${scope}@${sets.get(scope)?.revision}, newest is ${set.revision}`);
  }
  for (const scope of new Set([...sets.keys(), ...(running?.heldScopes ?? [])])) {
    if (!live.has(scope) || !isDue(scope)) faults.push(`node ${id} still has ${scope}, which it is not to have`);
  }
  return faults;
}
