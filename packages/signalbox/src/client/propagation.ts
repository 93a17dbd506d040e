import type { WatchPropagationResponse } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { NodePropagation_State } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Clock } from '@signalbox/runtime';
import type { AdminClient } from './admin-client.ts';

/** How the way of a revision to the nodes ended. */
export interface PropagationOutcome {
  /** `timeout`: some node had not answered in time. */
  readonly verdict: 'applied' | 'refused' | 'timeout';
  /** The last state seen; undefined if the time was over before the first. */
  readonly last: WatchPropagationResponse | undefined;
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
  onChange(state: WatchPropagationResponse): void;
}

/** Follows a revision until every connected node has applied it or said why not, or the time is over. */
export async function followPropagation(client: AdminClient, watch: PropagationWatch): Promise<PropagationOutcome> {
  const late = new AbortController();
  using _timer = watch.clock.timer(watch.timeoutMs, () => late.abort());
  let last: WatchPropagationResponse | undefined;
  try {
    const request = { scope: watch.scope, revision: watch.revision };
    const states = client.config.watchPropagation(request, { signal: AbortSignal.any([watch.signal, late.signal]) });
    for await (const state of states) {
      last = state;
      watch.onChange(state);
      if (state.done) break;
    }
  } catch (error) {
    if (!late.signal.aborted || watch.signal.aborted) throw error;
  }
  return { verdict: verdictOf(last), last };
}

function verdictOf(last: WatchPropagationResponse | undefined): PropagationOutcome['verdict'] {
  if (last?.nodes.some((node) => node.state === NodePropagation_State.REFUSED)) return 'refused';
  return last?.done ? 'applied' : 'timeout';
}
