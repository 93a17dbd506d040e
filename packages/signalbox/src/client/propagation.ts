import { Code, ConnectError } from '@connectrpc/connect';
import {
  type Propagation,
  Propagation_Outcome as Outcome,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Clock } from '@signalbox/runtime';
import type { AdminClient } from './admin-client.ts';

/** How the way of a revision to the nodes ended. */
export interface PropagationOutcome {
  /**
   * `applied`: every connected node runs it, and every one that was when it was committed. `refused`: some node refused
   * it. `left`: some node left without an answer and has not come back. `timeout`: some node had not answered in time.
   */
  readonly verdict: 'applied' | 'refused' | 'left' | 'timeout';
  /** The last state seen; undefined if the time was over before the first. */
  readonly last: Propagation | undefined;
}

export interface PropagationWatch {
  readonly scope: string;
  readonly revision: bigint;
  /** Milliseconds until nodes that have not answered count as late. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Ends the wait with its reason. */
  readonly signal: AbortSignal;
  /** Called with every change. */
  onChange(state: Propagation): void;
}

/** A control plane that goes away while it is asked is asked again after this time: another may be in its place. */
const retryMs = 500;

/** Follows a revision until every node has applied it or said why not, or the time is over. */
export async function followPropagation(client: AdminClient, watch: PropagationWatch): Promise<PropagationOutcome> {
  const late = new AbortController();
  using _timer = watch.clock.timer(watch.timeoutMs, () => late.abort());
  const signal = AbortSignal.any([watch.signal, late.signal]);
  let last: Propagation | undefined;
  while (!signal.aborted && !last?.done) {
    try {
      const request = { scope: watch.scope, revision: watch.revision };
      for await (const { propagation } of client.config.watchPropagation(request, { signal })) {
        if (!propagation) continue;
        last = propagation;
        watch.onChange(propagation);
        if (propagation.done) break;
      }
    } catch (error) {
      if (watch.signal.aborted) throw error;
      // Before the first answer an outage is the answer.
      const isGone = last && ConnectError.from(error).code === Code.Unavailable;
      if (!late.signal.aborted && !isGone) throw error;
    }
    if (!last?.done) await watch.clock.sleep(retryMs, signal).catch(() => undefined);
  }
  watch.signal.throwIfAborted();
  return { verdict: verdictOf(last), last };
}

function verdictOf(last: Propagation | undefined): PropagationOutcome['verdict'] {
  if (last && (last.outcome === Outcome.REJECTED || (last.counts?.refused ?? 0) > 0)) return 'refused';
  if (last?.outcome === Outcome.LEFT_UNANSWERED) return 'left';
  return last?.outcome === Outcome.COMPLETE ? 'applied' : 'timeout';
}
