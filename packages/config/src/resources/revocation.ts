import type { Revocation } from '@signalbox/proto/signalbox/config/v1/revocation_pb.ts';
import type { ProblemList } from '../problem.ts';
import { textFault } from './name.ts';

const limits = { revocations: 100, entries: 1_000, text: 256 };

/** What the `revocations` of a Policy must be. */
export function checkRevocations(revocations: readonly Revocation[], found: ProblemList): void {
  if (!found.bounded('spec.revocations', revocations, limits.revocations)) return;
  for (const [at, revocation] of revocations.entries()) checkRevocation(`spec.revocations[${at}]`, revocation, found);
}

function checkRevocation(field: string, revocation: Revocation, found: ProblemList): void {
  const { issuer, tokenIds, subjects, issuedBefore, reason } = revocation;
  found.check(`${field}.issuer`, textFault(issuer, limits.text));
  found.check(`${field}.reason`, textFault(reason, limits.text));
  found.checkEach(`${field}.tokenIds`, tokenIds, limits.entries, nameFault);
  found.checkEach(`${field}.subjects`, subjects, limits.entries, nameFault);
  if (issuedBefore !== '' && timeMs(issuedBefore) === undefined) {
    found.error('invalid-value', `${field}.issuedBefore`, 'must be a time such as 2026-11-22T08:00:00Z');
  }
  if (tokenIds.length === 0 && subjects.length === 0 && issuedBefore === '') {
    found.error('missing-field', field, 'needs tokenIds, subjects or issuedBefore');
  }
}

function nameFault(text: string): string | undefined {
  return text === '' ? 'is empty' : textFault(text, limits.text);
}

/** Milliseconds since the epoch of a time in RFC 3339; undefined for any other text. */
export function timeMs(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
