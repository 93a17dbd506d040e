import type { Cli } from '../cli.ts';
import type { AdminClient } from '../client/admin-client.ts';
import { followPropagation, type PropagationOutcome } from '../client/propagation.ts';
import { Failure } from '../failure.ts';
import { PropagationView } from './propagation-view.ts';

export interface PropagationRequest {
  readonly scope: string;
  readonly revision: bigint;
  readonly timeoutMs: number;
  /** Shows nothing: the outcome is printed for programs. */
  readonly quiet: boolean;
}

/** Follows a committed revision to the nodes and shows it. */
export async function watchPropagation(
  cli: Cli,
  client: AdminClient,
  { scope, revision, timeoutMs, quiet }: PropagationRequest,
): Promise<PropagationOutcome> {
  const view = quiet ? undefined : new PropagationView(cli.out);
  return followPropagation(client, {
    scope,
    revision,
    timeoutMs,
    clock: cli.clock,
    signal: cli.interrupted,
    onChange: (state) => view?.show(state),
  });
}

/** @throws Failure if a node refused a revision or has not answered in time. */
export function failUnlessApplied(outcomes: ReadonlyMap<string, PropagationOutcome>, timeoutMs: number): void {
  const scopesWith = (verdict: PropagationOutcome['verdict']) =>
    [...outcomes].filter(([, outcome]) => outcome.verdict === verdict).map(([scope]) => scope);
  const refused = scopesWith('refused');
  if (refused.length > 0) {
    throw new Failure(
      `a node refused the revision of ${refused.join(', ')} and keeps the one before; see signalbox nodes`,
    );
  }
  const left = scopesWith('left');
  if (left.length > 0) {
    const text = `committed, but a node of ${left.join(', ')} left without an answer and has not come back; see signalbox nodes`;
    throw new Failure(text, 3);
  }
  const late = scopesWith('timeout');
  if (late.length > 0) {
    const text = `committed, but a node of ${late.join(', ')} has not answered within ${timeoutMs / 1_000} s; see signalbox nodes`;
    throw new Failure(text, 3);
  }
}
