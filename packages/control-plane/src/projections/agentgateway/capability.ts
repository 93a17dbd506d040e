import type { RouteEntry } from '@signalbox/config';
import type { BehaviourId, Probe, Verdict } from '../capability.ts';
import { probeRule } from '../probe-rule.ts';
import { sampleRoute } from '../sample-route.ts';
import { isA2a } from './a2a.ts';
import { routeProblems } from './check.ts';
import { enforce, enforceA2a, enforceHttp } from './rules.ts';

/** Whether a stock agentgateway has a feature: its sample is projected, and what is reported decides. */
export function probeAgentgateway(probe: Probe): Verdict {
  switch (probe.kind) {
    case 'behaviour':
      return behaviours[probe.id];
    case 'route': {
      const sample = sampleRoute({ authentication: { anonymous: {} }, ...probe, ...agentAtHome(probe) });
      const [problem] = routeProblems(sample, { routes: [sample] });
      if (problem) return { support: 'no', note: problem.message.split(';')[0] ?? '' };
      return probe.protocol === 'a2a' ? { support: 'partly', note: cardNote } : yes;
    }
    case 'rule':
      return probeRule(probe.when, gapsOf) ?? yes;
  }
}

const cardNote = 'if the card is below the path of the agent, and rules do not read its operations';

/** An agent as agentgateway can serve it. */
function agentAtHome({ protocol }: Extract<Probe, { kind: 'route' }>): { readonly backend?: object } {
  const url = 'http://127.0.0.1/a2a';
  return protocol === 'a2a' ? { backend: { a2a: { url, cardUrl: `${url}/.well-known/agent-card.json` } } } : {};
}

function gapsOf(route: RouteEntry): ReadonlyMap<string, ReadonlySet<string>> {
  if (route.kind === 'mcp') return enforce(route).gaps;
  if (isA2a(route)) return enforceA2a(route, undefined).gaps;
  return enforceHttp(route).gaps;
}

const yes: Verdict = { support: 'yes', note: '' };

const behaviours: Readonly<Record<BehaviourId, Verdict>> = {
  'call-decisions': yes,
  'list-filtering': yes,
  'strict-json': {
    support: 'partly',
    note: 'a message is read once and written anew; of a repeated key within arguments the last counts',
  },
  'host-and-origin': yes,
  'credential-stripping': {
    support: 'yes',
    note: 'authorization, proxy-authorization and cookie; other headers go on',
  },
  'token-checks': { support: 'partly', note: 'only tokens that name their key by kid' },
  'session-binding': { support: 'no', note: 'a session works for other callers of the route' },
  'stream-recheck': { support: 'no', note: 'a stream that is open stays open' },
  'outcome-events': { support: 'no', note: 'only what agentgateway itself counts and logs' },
  'json-rpc-errors': { support: 'partly', note: 'for calls that rules deny; 401 and 403 with a text for callers' },
  'client-responses': yes,
  'hot-swap': {
    support: 'partly',
    note: 'another port ends the connections of the old one; a session with a changed server starts anew',
  },
};
