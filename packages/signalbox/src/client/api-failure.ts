import { Code, ConnectError } from '@connectrpc/connect';
import type { Problem } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { ProblemsSchema } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { Failure } from '../failure.ts';
import { printable } from '../output/printable.ts';
import { renderProblem } from './problem-text.ts';

/** An error of the admin API, with what to do about it. */
export function apiFailure(error: unknown, describe: (problem: Problem) => string = renderProblem): Failure {
  const cause = ConnectError.from(error);
  const problems = problemsOf(cause).map(describe);
  if (problems.length > 0) {
    const heading = `refused, ${problems.length === 1 ? '1 problem' : `${problems.length} problems`}:`;
    return new Failure([heading, ...problems.map((problem) => `  ${problem}`)].join('\n'), 1, { cause });
  }
  const next = advice[cause.code];
  return new Failure(printable(cause.rawMessage) + (next ? `\n  ${next}` : ''), 1, { cause });
}

/** Why the API refused a write; empty for any other error. */
function problemsOf(error: unknown): readonly Problem[] {
  return ConnectError.from(error)
    .findDetails(ProblemsSchema)
    .flatMap((detail) => detail.problems);
}

const late = 'The control plane did not answer in time. It may be overloaded or without its database: see its log.';

const advice: Partial<Record<Code, string>> = {
  [Code.Unavailable]:
    'The control plane cannot be reached. Start it with signalbox up, or set SIGNALBOX_URL to where it listens.',
  [Code.Unauthenticated]:
    'The control plane does not accept this token. Set SIGNALBOX_TOKEN to one that is neither expired nor revoked.',
  [Code.PermissionDenied]: 'The token has no right to do this. Use one with a role that has, see signalbox token list.',
  [Code.NotFound]: 'See what there is with signalbox get.',
  [Code.FailedPrecondition]: 'Look at the newest revision with signalbox revisions, then try again on top of it.',
  [Code.DeadlineExceeded]: late,
  [Code.Canceled]: late,
  [Code.Unimplemented]: 'SIGNALBOX_URL does not lead to a control plane of this version.',
};
