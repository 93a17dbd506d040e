import type { HeaderModifier, RouteRetry } from '@signalbox/proto/signalbox/config/v1/forwarding_pb.ts';
import type { Route } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import type { Forwarding, HeaderChanges, RetryEntry } from '../forwarding.ts';
import { durationMs } from '../resources/duration.ts';

/** What a route says about forwarding, which has been checked. */
export function compileForwarding(route: Route): Forwarding {
  const { requestHeaderModifier, responseHeaderModifier, timeouts, retry } = route;
  if (!requestHeaderModifier && !responseHeaderModifier && !timeouts && !retry) return asItIs;
  return Object.freeze({
    requestHeaders: headerChanges(requestHeaderModifier),
    responseHeaders: headerChanges(responseHeaderModifier),
    timeouts: Object.freeze({
      requestMs: givenMs(timeouts?.request),
      backendRequestMs: givenMs(timeouts?.backendRequest),
      idleMs: givenMs(timeouts?.idle),
    }),
    retry: retryEntry(retry),
  });
}

/** Most routes say nothing. */
const asItIs: Forwarding = Object.freeze({
  requestHeaders: null,
  responseHeaders: null,
  timeouts: Object.freeze({ requestMs: null, backendRequestMs: null, idleMs: null }),
  retry: null,
});

/** Milliseconds, or null for what is not given. */
export function givenMs(text: string | undefined): number | null {
  return text === undefined || text === '' ? null : durationMs(text);
}

function headerChanges(modifier: HeaderModifier | undefined): HeaderChanges | null {
  if (modifier === undefined) return null;
  const { set, add, remove } = modifier;
  if (set.length + add.length + remove.length === 0) return null;
  const fields = (values: HeaderModifier['set']): HeaderChanges['set'] =>
    Object.freeze(values.map(({ name, value }) => [name.toLowerCase(), value] as const));
  const names = Object.freeze(remove.map((name) => name.toLowerCase()));
  return Object.freeze({ set: fields(set), add: fields(add), remove: names });
}

function retryEntry(retry: RouteRetry | undefined): RetryEntry | null {
  if (retry === undefined) return null;
  const codes = retry.codes.length === 0 ? [503] : [...retry.codes].sort((a, b) => a - b);
  return Object.freeze({ attempts: retry.attempts, codes: Object.freeze(codes) });
}
