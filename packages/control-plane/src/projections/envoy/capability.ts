import type { BehaviourId, Probe, Verdict } from '../capability.ts';
import { probeRule } from '../probe-rule.ts';
import { sampleRoute } from '../sample-route.ts';
import { routeProblems } from './check.ts';
import { enforce } from './rules.ts';

/** Whether a stock Envoy has a feature: its sample is projected, and what is reported decides. */
export function probeEnvoy(probe: Probe): Verdict {
  switch (probe.kind) {
    case 'behaviour':
      return behaviours[probe.id];
    case 'route': {
      const route = sampleRoute(probe);
      const [problem] = routeProblems(route, enforce(route));
      if (!problem) return route.kind === 'mcp' && route.mcp.federation !== null ? ofMembers : yes;
      return { support: route.kind === 'a2a' ? 'partly' : 'no', note: problem.message.split(';')[0] ?? '' };
    }
    case 'rule':
      return probeRule(probe.when, (route) => enforce(route).gaps) ?? noted(probe.when);
  }
}

function noted(when: string): Verdict {
  const notes = [
    ...(/\bargs\b/.test(when) ? ['an argument that is a list counts as missing, and denies'] : []),
    ...(/\bmatches\b/.test(when) ? ['calls of such a route are refused above 64 KiB'] : []),
  ];
  return { support: 'yes', note: notes.join('; ') };
}

const yes: Verdict = { support: 'yes', note: '' };

const ofMembers: Verdict = {
  support: 'partly',
  note: 'legacy era only, without GET, DELETE and completion; URIs in results stay the members’ own, so do ui:// and skill://; its own instructions; lists of what answers',
};

const behaviours: Readonly<Record<BehaviourId, Verdict>> = {
  'call-decisions': yes,
  'list-filtering': { support: 'no', note: 'lists come as the upstream gives them; calls are still decided' },
  'strict-json': yes,
  'host-and-origin': yes,
  'credential-stripping': {
    support: 'yes',
    note: 'authorization, proxy-authorization and cookie; other headers go on',
  },
  'token-checks': {
    support: 'partly',
    note: 'bounds what remains of the lifetime, not the age; takes every algorithm that fits the key; `Bearer` in this case only',
  },
  'session-binding': { support: 'no', note: "the upstream's session id is the client's, and works for other callers" },
  'stream-recheck': { support: 'no', note: 'a stream that is open stays open' },
  'outcome-events': { support: 'no', note: 'only what Envoy itself counts and logs' },
  'json-rpc-errors': { support: 'no', note: '400, 401 and 403 with a text' },
  'client-responses': { support: 'no', note: 'a message without method is refused' },
  'hot-swap': {
    support: 'partly',
    note: 'a change of tokens that are accepted drains connections; other changes do not',
  },
};
