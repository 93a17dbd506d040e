import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ForwardRouteEntry, McpRouteEntry, RouteEntry } from '@signalbox/config';
import type { TrafficPolicySpecSchema } from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import { requestTimeoutMs } from '../call-bounds.ts';
import { milliseconds } from './backends.ts';

export type TrafficPolicy = NonNullable<MessageInitShape<typeof TrafficPolicySpecSchema>['kind']>;

/** What a route changes in answers, and how long they may take. */
export function forwardingPolicies(route: ForwardRouteEntry): readonly TrafficPolicy[] {
  const { responseHeaders, retry } = route.forwarding;
  const policies: TrafficPolicy[] = [];
  policies.push({ case: 'responseHeaderModifier', value: headerModifier(responseHeaders, keptFromClient) });
  policies.push(...timeoutPolicies(route));
  if (retry) policies.push({ case: 'retry', value: { ...retryOf(retry) } });
  return policies;
}

/** What a route of MCP changes in answers, and how long they may take. */
export function mcpForwardingPolicies(route: McpRouteEntry): readonly TrafficPolicy[] {
  const { responseHeaders } = route.forwarding;
  const policies: TrafficPolicy[] = [];
  if (responseHeaders) policies.push({ case: 'responseHeaderModifier', value: headerModifier(responseHeaders, []) });
  return [...policies, ...timeoutPolicies(route)];
}

function timeoutPolicies(route: RouteEntry): readonly TrafficPolicy[] {
  const requestMs = requestTimeoutMs(route);
  const { backendRequestMs } = route.forwarding.timeouts;
  // Without a timeout there is no limit there.
  const request = requestMs ? { request: milliseconds(requestMs) } : {};
  const backendRequest = backendRequestMs ? { backendRequest: milliseconds(backendRequestMs) } : {};
  if (!requestMs && !backendRequestMs) return [];
  return [{ case: 'timeout', value: { ...request, ...backendRequest } }];
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
export function forwardingProblems({ forwarding }: RouteEntry): readonly string[] {
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
