import { createHash } from 'node:crypto';

import { invalidArgument } from './errors.ts';

/** The parts of a request that say under which conditions it is carried out. */
export interface WriteConditions {
  readonly ifMatch?: bigint | undefined;
  readonly requestId: string;
  readonly message: string;
}

export interface WriteOptions {
  readonly ifMatch: bigint | undefined;
  readonly requestId: string | undefined;
  readonly message: string;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Reads and checks them; the header If-Match means the same as the field. @throws ConnectError invalid_argument */
export function writeOptions(request: WriteConditions, headers: Headers, messageLength: number): WriteOptions {
  if (request.requestId !== '' && !uuid.test(request.requestId)) {
    throw invalidArgument('request_id must be a UUID');
  }
  if (request.message.length > messageLength) {
    throw invalidArgument(`message is longer than ${messageLength} characters`);
  }
  return {
    ifMatch: ifMatch(request.ifMatch, headers.get('if-match')),
    requestId: request.requestId === '' ? undefined : request.requestId.toLowerCase(),
    message: request.message,
  };
}

function ifMatch(field: bigint | undefined, header: string | null): bigint | undefined {
  if (header === null) return field;
  const number = /^\s*"?(\d{1,19})"?\s*$/.exec(header)?.[1];
  if (number === undefined) throw invalidArgument('If-Match must be a revision number, such as "42"');
  if (field !== undefined && field !== BigInt(number)) {
    throw invalidArgument('If-Match and if_match name different revisions');
  }
  return BigInt(number);
}

/** Hash of what a request asks for, so that a request id cannot be used for something else. */
export function fingerprint(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
