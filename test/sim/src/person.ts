import type { World } from './world.ts';

/** Somebody who looks after rollouts: those that were paused or halted go on, those that wait for a word get it. */
export async function attend(world: World): Promise<void> {
  const replica = world.replicas.find((each) => each?.publisher.ready);
  if (!replica) return;
  for (const rollout of world.database.underWay()) {
    const { scope, revision, state, stage, settledSinceMs, plan } = rollout;
    const isWaiting = settledSinceMs !== undefined && plan.stages[stage]?.manual === true;
    if (state === 'running' && !isWaiting) continue;
    world.note(`somebody lets ${scope}@${revision} go on, which is ${state}`);
    const by = { nowMs: world.clock.now(), actor: 'somebody', reason: '' };
    const change = isWaiting ? replica.driver.promote(rollout, 'next', by) : replica.resume(rollout);
    change.catch(() => undefined);
  }
}

/** Somebody does something with a rollout, whatever its state. */
export function interfere(world: World): void {
  const underWay = world.database.underWay();
  const rollout = underWay[world.pick(underWay.length)];
  const replica = world.replicas[world.pick(world.replicas.length)];
  if (!rollout || !replica) return;
  const by = { nowMs: world.clock.now(), actor: 'somebody', reason: '' };
  const dice = world.random.fraction();
  const what = dice < 0.4 ? 'paused' : dice < 0.7 ? 'aborted' : 'promoted';
  world.note(`${rollout.scope}@${rollout.revision} is ${what}`);
  const change =
    what === 'paused'
      ? replica.pause(rollout)
      : what === 'aborted'
        ? replica.driver.act(rollout, { kind: 'take-back', reason: 'aborted' }, by)
        : replica.driver.promote(rollout, world.random.fraction() < 0.5 ? 'next' : 'all', by);
  change.catch(() => undefined);
}
