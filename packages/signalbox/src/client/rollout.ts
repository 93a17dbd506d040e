import { Code, ConnectError } from '@connectrpc/connect';
import {
  Rollout_Phase as Phase,
  Rollout_State as State,
  type WatchRolloutResponse,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import type { Clock } from '@signalbox/runtime';
import type { AdminClient } from './admin-client.ts';

export interface RolloutWatch {
  readonly scope: string;
  /** 0: the newest. */
  readonly revision: bigint;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A control plane that goes away while it is asked is asked again after this time: another may be in its place. */
const retryMs = 500;

/** The rollout, and again on every change, until it has ended, over outages. Before the first answer one is the answer. */
export async function* followRollout(client: AdminClient, watch: RolloutWatch): AsyncGenerator<WatchRolloutResponse> {
  const { scope, clock, signal } = watch;
  let { revision } = watch;
  let last: WatchRolloutResponse | undefined;
  while (!signal.aborted) {
    try {
      for await (const state of client.rollouts.watchRollout({ scope, revision }, { signal })) {
        last = state;
        revision = state.rollout?.revision ?? revision;
        yield state;
      }
      return;
    } catch (error) {
      const { code } = ConnectError.from(error);
      const isGone = code === Code.Unavailable || code === Code.DeadlineExceeded || code === Code.Aborted;
      if (signal.aborted || !last || !isGone) throw error;
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }
}

/** How the first part of a rollout went, for whoever has just committed. */
export interface StagedOutcome {
  /**
   * `staged`: the nodes of its stage run it, and the others follow by and by. `completed`: all nodes have it. `refused`: it
   * was taken back, or is halted. `superseded`: another revision took its place. `timeout`: none of these in time.
   */
  readonly verdict: 'staged' | 'completed' | 'refused' | 'superseded' | 'timeout';
  readonly last: WatchRolloutResponse | undefined;
}

/** Follows a rollout until the nodes of its present stage run it, or it has ended, or the time is over. */
export async function followStage(
  client: AdminClient,
  watch: RolloutWatch & { readonly timeoutMs: number },
): Promise<StagedOutcome> {
  const late = new AbortController();
  using _timer = watch.clock.timer(watch.timeoutMs, () => late.abort());
  const signal = AbortSignal.any([watch.signal, late.signal]);
  let last: WatchRolloutResponse | undefined;
  try {
    for await (const state of followRollout(client, { ...watch, signal })) {
      last = state;
      const verdict = verdictOf(state);
      if (verdict) return { verdict, last };
    }
  } catch (error) {
    if (!late.signal.aborted) throw error;
  }
  watch.signal.throwIfAborted();
  return { verdict: 'timeout', last };
}

function verdictOf({ rollout, progress }: WatchRolloutResponse): StagedOutcome['verdict'] | undefined {
  switch (rollout?.state) {
    case State.COMPLETED:
      return 'completed';
    case State.ROLLED_BACK:
    case State.HALTED:
      return 'refused';
    case State.SUPERSEDED:
      return 'superseded';
    case State.PAUSED:
      return 'staged';
    case State.RUNNING:
      return progress?.phase === Phase.SOAKING || progress?.phase === Phase.AWAITING_PROMOTION ? 'staged' : undefined;
    case State.STATE_UNSPECIFIED:
    case undefined:
    default:
      return undefined;
  }
}
