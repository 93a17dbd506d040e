import type { AuthenticationTable } from '@signalbox/config';
import type { Caller } from '../conditions/reading.ts';
import { payloadKey } from './fields.ts';
import { all, any, type Formula, not, value } from '../conditions/formula.ts';

/** Who may come in through Envoy: with revoked tokens nobody who has one, since it has no list of them. Callers with an API key may not, since Envoy compares keys and we have only hashes. */
export function callersOf({ jwt, anonymous, revocations }: AuthenticationTable): readonly Caller[] {
  const callers: Caller[] = [...(revocations ? [] : jwt.values())]
    .sort((a, b) => (a.issuer < b.issuer ? -1 : 1))
    .map(({ issuer, groupsClaim }) => ({ kind: 'jwt', issuer, groupsClaim }));
  if (anonymous) callers.push({ kind: 'anonymous', subject: anonymous.subject });
  return callers;
}

/** Whether a request is from one of the callers, after jwt_authn has verified its token. */
export function isFrom(callers: readonly Caller[]): Formula {
  return any(
    callers.map((caller) =>
      caller.kind === 'jwt'
        ? all([
            value('jwt', [payloadKey, 'iss'], { is: 'exact', text: caller.issuer }),
            value('jwt', [payloadKey, 'iat'], { is: 'any-number' }),
          ])
        : all([
            not(value('jwt', [payloadKey, 'iss'], { is: 'present' })),
            // A credential of another kind is not one that was accepted.
            not({ kind: 'header', name: 'authorization', match: 'present' }),
          ]),
    ),
  );
}
