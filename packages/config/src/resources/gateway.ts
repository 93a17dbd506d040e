import { DataPlane, type Gateway, type Listener } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import type { ProblemList } from '../problem.ts';
import { hostFault, originFault } from './host.ts';
import { nameFault } from './name.ts';

const limits = { listeners: 16, hostnames: 256, allowedOrigins: 256 };

/** What a Gateway must be by itself: listeners with unique names and ports, host names and origins of the right form. */
export function checkGateway(gateway: Gateway, found: ProblemList): void {
  const { listeners } = gateway;
  if (listeners.length === 0) found.error('missing-field', 'spec.listeners', 'needs at least one listener');
  if (!found.bounded('spec.listeners', listeners, limits.listeners)) return;
  checkDataPlanes(gateway.dataPlanes, found);
  for (const [at, listener] of listeners.entries()) {
    const field = `spec.listeners[${at}]`;
    checkListener(listener, field, found);
    const earlier = listeners.slice(0, at);
    if (listener.name !== '' && earlier.some((other) => other.name === listener.name)) {
      found.error('duplicate', `${field}.name`, `another listener is already named ${listener.name}`);
    }
    if (listener.port !== 0 && earlier.some((other) => other.port === listener.port)) {
      found.error('duplicate', `${field}.port`, `another listener already uses port ${listener.port}`);
    }
  }
}

function checkDataPlanes(dataPlanes: readonly DataPlane[], found: ProblemList): void {
  for (const [at, one] of dataPlanes.entries()) {
    const field = `spec.dataPlanes[${at}]`;
    if (one !== DataPlane.NATIVE && one !== DataPlane.ENVOY && one !== DataPlane.AGENTGATEWAY) {
      found.error('invalid-value', field, 'must be NATIVE, ENVOY or AGENTGATEWAY');
    } else if (dataPlanes.indexOf(one) !== at) {
      found.error('duplicate', field, 'is already listed');
    }
  }
}

function checkListener(listener: Listener, field: string, found: ProblemList): void {
  found.require(`${field}.name`, listener.name, nameFault);
  if (listener.port === 0) found.error('missing-field', `${field}.port`, 'is required: a port from 1 to 65535');
  else if (listener.port > 65_535) found.error('invalid-value', `${field}.port`, 'must be a port from 1 to 65535');
  found.checkEach(`${field}.hostnames`, listener.hostnames, limits.hostnames, hostFault);
  found.checkEach(`${field}.allowedOrigins`, listener.allowedOrigins, limits.allowedOrigins, originFault);
}
