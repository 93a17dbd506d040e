import { createHash } from 'node:crypto';
import type { ScannedMessage } from '../json/message.ts';
import { splice, withoutMembers } from './splice.ts';

/** What a request is about: method and params without what changes from one round of it to the next. */
export function requestDigest({ bytes, method = '', params }: ScannedMessage): string {
  const hash = createHash('sha256').update(`${method}\n`);
  if (!params) return hash.digest('base64url');
  const kept = splice(bytes, withoutMembers(bytes, params, changing));
  const end = params.end - (bytes.length - kept.length);
  return hash.update(kept.subarray(params.start, end)).digest('base64url');
}

const changing: ReadonlySet<string> = new Set(['inputResponses', 'requestState', '_meta']);
