import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ForwardRouteEntry } from '@signalbox/config';
import type { TrafficPolicySpecSchema } from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import { milliseconds } from './backends.ts';

export type TrafficPolicy = NonNullable<MessageInitShape<typeof TrafficPolicySpecSchema>['kind']>;

/** What a route changes in answers, and how long they may take. */
export function forwardingPolicies({ forwarding }: ForwardRouteEntry): readonly TrafficPolicy[] {
  const { responseHeaders, timeouts, retry } = forwarding;
  const { requestMs, backendRequestMs } = timeouts;
  const policies: TrafficPolicy[] = [];
  policies.push({ case: 'responseHeaderModifier', value: headerModifier(responseHeaders, keptFromClient) });
  // Without a timeout there is no limit there.
  const request = requestMs ? { request: milliseconds(requestMs) } : {};
  const backendRequest = backendRequestMs ? { backendRequest: milliseconds(backendRequestMs) } : {};
  if (requestMs || backendRequestMs) policies.push({ case: 'timeout', value: { ...request, ...backendRequest } });
  if (retry) policies.push({ case: 'retry', value: { ...retryOf(retry) } });
  return policies;
}

/** Never to callers, whose host and credentials are the gateway's. */
const keptFromClient = ['alt-svc', 'set-cookie', 'www-authenticate'];

function retryOf({ attempts, codes }: NonNullable<ForwardRouteEntry['forwarding']['retry']>) {
  const precondition = 'request.method in ["GET", "HEAD", "OPTIONS"]';
  return { attempts, retryStatusCodes: [...codes], precondition };
}

type HeaderChanges = NonNullable<ForwardRouteEntry['forwarding']['requestHeaders']>;

/** @param kept what is removed, whatever else is changed */
export function headerModifier(changes: HeaderChanges | null, kept: readonly string[]) {
  const fields = (list: HeaderChanges['set']) => list.map(([name, value]) => ({ name, value }));
  return {
    set: fields(changes?.set ?? []),
    add: fields(changes?.add ?? []),
    remove: [...(changes?.remove ?? []), ...kept],
  };
}

/** What a route asks that agentgateway has no words for. */
export function forwardingProblems({ forwarding }: ForwardRouteEntry): readonly string[] {
  const { requestHeaders, responseHeaders, timeouts } = forwarding;
  return [
    ...(timeouts.idleMs === null ? [] : ['agentgateway has no timeout for idle streams of a route']),
    ...([requestHeaders, responseHeaders].some(isOrdered)
      ? ['agentgateway changes headers in another order: a name stands in two of set, add and remove']
      : []),
  ];
}

/** Whether the order of changes makes a difference. */
function isOrdered(changes: HeaderChanges | null): boolean {
  const names = [...(changes?.set ?? []), ...(changes?.add ?? [])].map(([name]) => name).concat(changes?.remove ?? []);
  return new Set(names).size < names.length;
}
