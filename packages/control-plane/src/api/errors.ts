import { Code, ConnectError } from '@connectrpc/connect';
import { operatorScope, type Problem } from '@signalbox/config';
import { Problem_Severity, ProblemsSchema } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';

import { StoreBusy } from '../store/connection-pool.ts';
import { isConnectionLoss, isLockTimeout, isStatementTimeout, isUnstorable } from '../store/database-error.ts';
import { TooManyTokens } from '../store/tokens.ts';

/** A problem as the API states it. */
export function problemMessage(problem: Problem) {
  const { severity, kind, scope, name, field, code, message } = problem;
  return {
    severity: severity === 'error' ? Problem_Severity.ERROR : Problem_Severity.WARNING,
    tenant: scope === operatorScope ? '' : scope,
    ...{ kind, name, field, code, message },
  };
}

/** A refusal with its reasons, of which the answer names at most `limit`. */
export function refusal(problems: readonly Problem[], limit: number, code = Code.InvalidArgument): ConnectError {
  const [first] = problems;
  const where = first ? [`${first.kind}/${first.name}`, first.field].filter((part) => part !== '').join(' ') : '';
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const detail = { desc: ProblemsSchema, value: { problems: problems.slice(0, limit).map(problemMessage) } };
  return new ConnectError(`refused: ${where}: ${first?.message ?? ''}${more}`, code, undefined, [detail]);
}

/** A request that cannot be right, whatever is stored. */
export function invalidArgument(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}

export function noSuchRevision(scope: string, revision: bigint): ConnectError {
  return new ConnectError(`"${scope}" has no revision ${revision}`, Code.NotFound);
}

/**
 * What a caller is told of an error. Only errors that were made for callers keep their text; of all others nothing
 * leaves the process.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof StoreBusy) return new ConnectError(error.message, Code.Unavailable);
  if (error instanceof TooManyTokens) return new ConnectError(error.message, Code.ResourceExhausted);
  if (isUnstorable(error))
    return invalidArgument('a text holds a character, or a number is larger, than can be stored');
  if (isLockTimeout(error)) {
    return new ConnectError('another write of this scope takes too long: try again', Code.Unavailable);
  }
  if (isStatementTimeout(error)) return new ConnectError('the database takes too long: try again', Code.Unavailable);
  if (isConnectionLoss(error)) return new ConnectError('the database cannot be reached: try again', Code.Unavailable);
  return new ConnectError(
    'internal error: the control plane has logged it',
    Code.Internal,
    undefined,
    undefined,
    error,
  );
}
