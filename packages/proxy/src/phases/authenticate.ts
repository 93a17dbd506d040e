import type { Call } from '../mcp/call.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { anonymousCredential } from '../session/credential.ts';
import type { Verified } from '../session/token-verifier.ts';
import { refuse, type Step } from './step.ts';

/** Who calls? Before anything of the body is read. The credential ends here: it never goes upstream. */
export function authenticate(call: Call): Step | Promise<Step> {
  const route = call.route as RouteState;
  const header = call.exchange.head.header('authorization');
  if (header === undefined) return withoutCredential(call, route);
  const known = route.verified.get(header);
  if (known && known.until > call.arrivedAt) return settle(call, known.credential);
  const token = bearerToken(header);
  if (token === undefined) return refuse(call, refusals.invalidCredential);
  const { tenant, authentication } = route.entry;
  const verified = call.services.tokens.verify(tenant, authentication, header, token);
  return verified instanceof Promise ? verified.then((found) => settle(call, found)) : settle(call, verified);
}

function withoutCredential(call: Call, route: RouteState): Step {
  const anonymous = anonymousCredential(route.entry.authentication);
  return anonymous ? settle(call, anonymous) : refuse(call, refusals.unauthenticated);
}

function settle(call: Call, verified: Verified): Step {
  if (verified === 'unavailable') return refuse(call, refusals.keysUnavailable);
  if (verified === 'refused') return refuse(call, refusals.invalidCredential);
  call.credential = verified;
  return 'continue';
}

const scheme = 'bearer ';

function bearerToken(header: string): string | undefined {
  if (header.length <= scheme.length || header.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  return header.slice(scheme.length).trim();
}
