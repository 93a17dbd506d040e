// What an error of the database means for whoever asked.

/** A lock was not to be had in time: another writer holds the scope. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === '55P03';
}

/** A statement ran into its time limit. */
export function isStatementTimeout(error: unknown): boolean {
  return codeOf(error) === '57014';
}

/** The connection could not be made or ended before the answer: whether a commit took effect is unknown. */
export function isConnectionLoss(error: unknown): boolean {
  const code = codeOf(error);
  return connectionLossCodes.has(code) || code.startsWith('08');
}

/** No connection could be made at all: neither the next one could. */
export function isUnreachable(error: unknown): boolean {
  return unreachableCodes.has(codeOf(error));
}

/** A value of the request cannot be stored: a NUL in a text, or a number out of range. */
export function isUnstorable(error: unknown): boolean {
  return unstorableCodes.has(codeOf(error));
}

/** There is a row already where only one may be. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(error) === '23505';
}

/** Two transactions waited for each other; the same one can succeed when tried again. */
export function isDeadlock(error: unknown): boolean {
  return deadlockCodes.has(codeOf(error));
}

const connectionLossCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  '57P01', // terminated by an administrator
  '57P02', // crash of another session
  '57P03', // starting up or shutting down
]);
const unreachableCodes = new Set([
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
const unstorableCodes = new Set(['22021', '22P05', '22003']);
const deadlockCodes = new Set(['40001', '40P01']);

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return String(error.code);
}
