import type { WritePlanner } from '../api/plan-write.ts';
import type { ConfigStore } from '../store/store.ts';
import type { TakeBack } from './driver.ts';

/** Author of revisions that Signalbox writes by itself. */
const ownAuthor = 'signalbox rollout';

/** Writes the content of the revision before as a new one, for all nodes, and ends the rollout in the same transaction. */
export function takeBackBy(store: Pick<ConfigStore, 'write'>, planner: Pick<WritePlanner, 'rollback'>): TakeBack {
  return async ({ scope, revision, base }, { reason, actor }) => {
    const outcome = await store.write({
      ...{ scope, cause: 'rollback', returnsTo: base, confirmRemoval: true, requestId: undefined },
      author: actor === '' ? ownAuthor : actor,
      message: `rollout of revision ${revision} taken back: ${reason}`.slice(0, maxMessage),
      fingerprint: `rollout ${revision} taken back`,
      ifMatch: revision,
      endsRollout: { state: 'rolled-back', reason, actor },
      plan: (inputs) => planner.rollback(inputs, base, true),
    });
    switch (outcome.outcome) {
      case 'committed':
      case 'unchanged':
      case 'repeated':
        return 'done';
      case 'refused':
        return { refused: outcome.problems[0]?.message ?? 'it was refused' };
      case 'no-such-revision':
        return { refused: `there is no revision ${base} any more` };
      case 'revision-mismatch':
      case 'request-id-reused':
      case 'no-such-scope':
        return 'changed';
    }
  };
}

/** Reasons come from nodes. */
const maxMessage = 1_000;
