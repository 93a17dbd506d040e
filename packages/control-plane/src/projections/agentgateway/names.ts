import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GatewayEntry, ListenerEntry, RouteEntry } from '@signalbox/config';
import { ResourceSchema } from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { resource } from '../envoy/pack.ts';

/** The namespace of all gateways there: ours have none. */
export const gatewayNamespace = 'signalbox';

type Content = NonNullable<MessageInitShape<typeof ResourceSchema>['kind']>;

/**
 * A resource by the name that agentgateway gives to its kind and key. A key and a name belong together for good: the same
 * name with another key would leave the old object there.
 */
export function keyed(key: string, kind: Content): PlainResource {
  return resource(ResourceSchema, `${kind.case}/${key}`, { kind });
}

/** A name of a route that is the same on all listeners: what aims at it applies to all of it. */
export function routeName({ tenant, name }: RouteEntry) {
  return { kind: 'HTTPRoute', name, namespace: tenant };
}

export function bindKey(gateway: GatewayEntry, { port }: ListenerEntry): string {
  return `${port}/${gateway.name}`;
}

export function listenerKey(gateway: GatewayEntry, listener: ListenerEntry): string {
  return `${gateway.name}.${listener.name}`;
}

/** With the listener: a route that moves to another one is another route, or the old listener would keep it. */
export function routeKey(gateway: GatewayEntry, listener: ListenerEntry, { tenant, name }: RouteEntry): string {
  return `${listenerKey(gateway, listener)}/${tenant}/${name}`;
}
