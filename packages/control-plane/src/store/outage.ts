import { StoreBusy } from './connection-pool.ts';
import { isConnectionLoss, isStatementTimeout } from './database-error.ts';

/** The database does not answer, or not in time: what is known in memory may serve instead. */
export function isOutage(error: unknown): boolean {
  return isConnectionLoss(error) || isStatementTimeout(error) || error instanceof StoreBusy;
}
