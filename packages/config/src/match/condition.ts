import type { RouteMatch } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import type { RouteRequest } from '../table.ts';

/** What a request at a route's endpoint must also be like. */
export interface MatchCondition {
  /** Lower case; null for any host. */
  readonly hostnames: ReadonlySet<string> | null;
  /** Lower-case name and exact value; sorted by name. All must match. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export function conditionOf({ hostnames, headers }: Pick<RouteMatch, 'hostnames' | 'headers'>): MatchCondition {
  if (hostnames.length === 0 && headers.length === 0) return always;
  return Object.freeze({
    hostnames: hostnames.length === 0 ? null : new Set(hostnames.map((hostname) => hostname.toLowerCase())),
    headers: headers
      .map(({ name, exact }) => [name.toLowerCase(), exact] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  });
}

const always: MatchCondition = Object.freeze({ hostnames: null, headers: Object.freeze([]) });

export function conditionHolds({ hostnames, headers }: MatchCondition, request: RouteRequest): boolean {
  if (hostnames !== null && !hostnames.has(request.host)) return false;
  return headers.every(([name, value]) => request.header(name) === value);
}

/**
 * Whether two conditions are ambiguous: some request fulfils both, and neither has more headers, which would give it
 * precedence.
 */
export function ambiguous(a: MatchCondition, b: MatchCondition): boolean {
  return a.headers.length === b.headers.length && hostsOverlap(a, b) && headersAgree(a, b);
}

function hostsOverlap(a: MatchCondition, b: MatchCondition): boolean {
  const { hostnames } = b;
  return a.hostnames === null || hostnames === null || [...a.hostnames].some((hostname) => hostnames.has(hostname));
}

/** No header is asked to have two different values. */
function headersAgree(a: MatchCondition, b: MatchCondition): boolean {
  const values = new Map(a.headers);
  return b.headers.every(([name, value]) => (values.get(name) ?? value) === value);
}
