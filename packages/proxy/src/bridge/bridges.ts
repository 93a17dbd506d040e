import type { Upstream } from '../upstream/upstream.ts';
import type { BridgeContext } from './bridge-context.ts';
import { EraBridge } from './era-bridge.ts';
import { HttpSseServers } from './http-sse/http-sse-servers.ts';
import { RevisionBridge } from './revisions/revision-bridge.ts';

/**
 * The way to servers of every kind. Seen from a client: its revision of the legacy era, then its era, then the transport of
 * 2024-11-05. Each lets pass what it has nothing to do with.
 */
export function createBridges(context: BridgeContext): Upstream {
  const transports = new HttpSseServers(context);
  const eras = new EraBridge({ ...context, upstream: transports });
  return new RevisionBridge({ ...context, upstream: eras });
}
