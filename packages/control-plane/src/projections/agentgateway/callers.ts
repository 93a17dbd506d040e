import type { AuthenticationTable } from '@signalbox/config';
import { all, any, type Formula, not, value } from '../conditions/formula.ts';
import type { Caller } from '../conditions/reading.ts';
import { expressionOf } from './expression.ts';
import { usableKeySet } from './key-sets.ts';

/** Who may come in through agentgateway: with revoked tokens nobody who has one, since it has no list of them. */
export function callersOf({ jwt, apiKeys, anonymous, revocations }: AuthenticationTable): readonly Caller[] {
  const callers: Caller[] = [...(revocations ? [] : jwt.values())]
    .filter(({ jwks }) => usableKeySet(jwks).keySet !== undefined)
    .sort((a, b) => (a.issuer < b.issuer ? -1 : 1))
    .map(({ issuer, groupsClaim }) => ({ kind: 'jwt', issuer, groupsClaim }));
  // It looks for one kind of credential in a header: with tokens beside, keys would be refused as bad tokens.
  if (apiKeys.size > 0 && jwt.size === 0) callers.push({ kind: 'api-key' });
  if (anonymous) callers.push({ kind: 'anonymous', subject: anonymous.subject });
  return callers;
}

/** Whether a request is from one of the callers, after its credential was verified. */
export function isFrom(callers: readonly Caller[]): Formula {
  return any(callers.map(isFromOne));
}

function isFromOne(caller: Caller): Formula {
  switch (caller.kind) {
    case 'jwt':
      return value('jwt', ['jwt', 'iss'], { is: 'exact', text: caller.issuer });
    case 'api-key':
      return value('jwt', ['apiKey', 'subject'], { is: 'any-text' });
    case 'anonymous':
      return all([
        not(value('jwt', ['jwt', 'iss'], { is: 'present' })),
        not(value('jwt', ['apiKey', 'subject'], { is: 'present' })),
        // What it does not know as a credential it lets pass; our proxy does not.
        not({ kind: 'header', name: 'authorization', match: 'present' }),
      ]);
  }
}

/** Which requests may come in at all, whatever they ask for. */
export function admission(callers: readonly Caller[]): readonly string[] {
  return callers.map((caller) => {
    const from = expressionOf(isFromOne(caller));
    return caller.kind === 'jwt' ? `${from} && ${tokenChecks.join(' && ')}` : from;
  });
}

/** What agentgateway does not check of a token, and our proxy does: a subject, its age, and that it is valid already. */
const tokenChecks: readonly string[] = [
  'type(jwt.sub) == string',
  'jwt.sub != ""',
  'request.startTime - timestamp(jwt.iat) <= duration("24h")',
  'timestamp(jwt.iat) - request.startTime <= duration("60s")',
  '(!has(jwt.nbf) || timestamp(jwt.nbf) - request.startTime <= duration("60s"))',
];
