import type { Cli } from '../cli.ts';
import type { AdminClient } from '../client/admin-client.ts';
import { followStage, type StagedOutcome } from '../client/rollout.ts';
import { Failure } from '../failure.ts';
import type { PropagationRequest } from './watch-propagation.ts';
import { waitsFor } from './rollout-view.ts';

/** Follows a revision that reaches nodes in stages until those of its stage run it, and says what follows. */
export async function watchStaged(
  cli: Cli,
  client: AdminClient,
  { scope, revision, timeoutMs, quiet }: PropagationRequest,
): Promise<StagedOutcome> {
  const watch = { scope, revision, timeoutMs, clock: cli.clock, signal: cli.interrupted };
  const outcome = await followStage(client, watch);
  if (!quiet) cli.out.write(`  ${summary(outcome)}\n`);
  return outcome;
}

function summary({ verdict, last }: StagedOutcome): string {
  const { stage = 0, stages = [], reason = '' } = last?.rollout ?? {};
  const where = `stage ${stage} of ${stages.length}`;
  switch (verdict) {
    case 'completed':
      return 'rolled out: all nodes have it';
    case 'staged':
      return `rolled out in stages: ${where}${last?.progress ? `, ${waitsFor(last.progress)}` : ''}; follow it with signalbox rollout show --watch`;
    case 'superseded':
      return `another revision took its place ${reason}`;
    case 'refused':
      return `taken back: ${reason}`;
    case 'timeout':
      return `${where}: its nodes do not run it yet; follow it with signalbox rollout show --watch`;
  }
}

/** @throws Failure if a rollout was taken back, or its stage did not begin in time. */
export function failUnlessStaged(outcomes: ReadonlyMap<string, StagedOutcome>, timeoutMs: number): void {
  for (const [scope, { verdict, last }] of outcomes) {
    if (verdict === 'refused')
      throw new Failure(`the revision of ${scope} was taken back: ${last?.rollout?.reason ?? ''}`);
    if (verdict !== 'timeout') continue;
    const text = `committed, but the first nodes of ${scope} do not run it within ${timeoutMs / 1_000} s; see signalbox rollout show`;
    throw new Failure(text, 3);
  }
}
