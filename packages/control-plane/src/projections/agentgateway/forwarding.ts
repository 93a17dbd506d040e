import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ForwardRouteEntry } from '@signalbox/config';
import type { TrafficPolicySpecSchema } from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import { milliseconds } from './backends.ts';

export type TrafficPolicy = NonNullable<MessageInitShape<typeof TrafficPolicySpecSchema>['kind']>;

/** What a route changes in answers, and how long they may take. */
export function forwardingPolicies({ forwarding }: ForwardRouteEntry): readonly TrafficPolicy[] {
  const { responseHeaders, timeouts } = forwarding;
  const { requestMs, backendRequestMs } = timeouts;
  const policies: TrafficPolicy[] = [];
  if (responseHeaders) policies.push({ case: 'responseHeaderModifier', value: headerModifier(responseHeaders) });
  // Without a timeout there is no limit there.
  const request = requestMs ? { request: milliseconds(requestMs) } : {};
  const backendRequest = backendRequestMs ? { backendRequest: milliseconds(backendRequestMs) } : {};
  if (requestMs || backendRequestMs) policies.push({ case: 'timeout', value: { ...request, ...backendRequest } });
  return policies;
}

type HeaderChanges = NonNullable<ForwardRouteEntry['forwarding']['requestHeaders']>;

/** @param credentials what is removed, whatever else is changed */
export function headerModifier(changes: HeaderChanges | null, credentials: readonly string[] = []) {
  const fields = (list: HeaderChanges['set']) => list.map(([name, value]) => ({ name, value }));
  return {
    set: fields(changes?.set ?? []),
    add: fields(changes?.add ?? []),
    remove: [...(changes?.remove ?? []), ...credentials],
  };
}

/** What a route asks that agentgateway has no words for. */
export function forwardingProblems({ forwarding }: ForwardRouteEntry): readonly string[] {
  const { requestHeaders, responseHeaders, timeouts, retry } = forwarding;
  return [
    ...(timeouts.idleMs === null ? [] : ['agentgateway has no timeout for idle streams of a route']),
    ...(retry === null ? [] : ['agentgateway sends nothing again on a route of A2A']),
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
