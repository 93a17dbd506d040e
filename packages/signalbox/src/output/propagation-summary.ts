import {
  type Propagation,
  Propagation_Outcome as Outcome,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Style } from './style.ts';

/** How far a revision has got, in one line. */
export function propagationSummary({ outcome, counts, latency, incomplete }: Propagation, paint: Style): string {
  const { connected = 0, applied = 0, refused = 0, leftUnanswered = 0, disconnected = 0 } = counts ?? {};
  const parts = [
    connected === 0 ? 'no node is connected' : `${applied} of ${connected} connected nodes run it`,
    ...(refused > 0 ? [`${refused} refused it`] : []),
    ...(leftUnanswered > 0 ? [`${leftUnanswered} left without an answer`] : []),
    ...(disconnected > 0 ? [`${disconnected} not connected`] : []),
  ];
  const speed =
    latency && latency.count > 0
      ? `; commit to applied p50 ${milliseconds(latency.p50Ms)}, p99 ${milliseconds(latency.p99Ms)}`
      : '';
  const doubt = incomplete === '' ? '' : `\n${paint.doubtful(incomplete)}`;
  return `${outcomeText(outcome, paint)}: ${parts.join(', ')}${speed}${doubt}\n`;
}

/** As short as it is readable: `8.3 ms`, `120 ms`, `2.5 s`. */
export function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1_000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

function outcomeText(outcome: Outcome, paint: Style): string {
  switch (outcome) {
    case Outcome.COMPLETE:
      return paint.good('complete');
    case Outcome.REJECTED:
      return paint.bad('rejected');
    case Outcome.LEFT_UNANSWERED:
      return paint.bad('left unanswered');
    case Outcome.IN_PROGRESS:
    case Outcome.OUTCOME_UNSPECIFIED:
    default:
      return paint.doubtful('in progress');
  }
}
