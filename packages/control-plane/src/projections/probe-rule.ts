import type { RouteEntry } from '@signalbox/config';
import type { Verdict } from './capability.ts';
import { sampleRoute, type SampleRoute } from './sample-route.ts';

/**
 * What a data plane makes of a rule that allows, and of one that denies. Undefined: all of it.
 * @param gapsOf what it cannot tell of the rules of a route
 */
export function probeRule(
  when: string,
  gapsOf: (route: RouteEntry) => ReadonlyMap<string, ReadonlySet<string>>,
): Verdict | undefined {
  const gaps = (authorization: readonly object[]): readonly string[] =>
    [...gapsOf(sampleRoute({ authorization, ...protocolOf(when) })).values()].flatMap((features) => [...features]);
  const toAllow = gaps([{ effect: 'ALLOW', when }]);
  const toDeny = gaps([
    { effect: 'DENY', when },
    { effect: 'ALLOW', when: 'true' },
  ]);
  const note = [...new Set([...toAllow, ...toDeny])].join('; ');
  if (toAllow.length > 0 && toDeny.length > 0) return { support: 'no', note };
  if (toAllow.length > 0) return { support: 'partly', note: `only in rules that deny; ${note}` };
  return toDeny.length > 0 ? { support: 'partly', note: `only in rules that allow; ${note}` } : undefined;
}

/** The kind of route whose requests a rule is about. */
function protocolOf(when: string): Pick<SampleRoute, 'protocol'> {
  if (/\bhttp\./.test(when)) return { protocol: 'http' };
  return /\ba2a\./.test(when) ? { protocol: 'a2a' } : {};
}
