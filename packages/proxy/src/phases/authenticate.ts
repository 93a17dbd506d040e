import type { Call } from '../mcp/call.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { type Identified, identify } from '../session/identify.ts';
import { refuse, type Step } from './step.ts';

/** Who calls? Before anything of the body is read. The credential ends here: it never goes upstream. */
export function authenticate(call: Call): Step | Promise<Step> {
  const header = call.exchange.head.header('authorization');
  const identified = identify(call.services.tokens, call.route as RouteState, header, call.arrivedAt);
  return identified instanceof Promise ? identified.then((found) => settle(call, found)) : settle(call, identified);
}

function settle(call: Call, identified: Identified): Step {
  switch (identified) {
    case 'missing':
      return refuse(call, refusals.unauthenticated);
    case 'unavailable':
      return refuse(call, refusals.keysUnavailable);
    case 'refused':
      return refuse(call, refusals.invalidCredential);
    default:
      call.credential = identified;
      return 'continue';
  }
}
