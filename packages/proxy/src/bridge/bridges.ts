import type { Upstream } from '../upstream/upstream.ts';
import type { BridgeContext } from './bridge-context.ts';
import { EraBridge } from './era-bridge.ts';
import { HttpSseServers } from './http-sse/http-sse-servers.ts';
import { readRevisedSessionId } from './revisions/revised-session-id.ts';
import { RevisionBridge } from './revisions/revision-bridge.ts';

/** The way to servers of every kind. */
export interface Bridges {
  readonly upstream: Upstream;
  /** A session is over, as another node says: what this one keeps of it goes. @param id as who sends knows it. */
  endSession(id: string): void;
  /** The node stops: ends what it keeps at servers for clients without a session of their own. */
  leave(): Promise<void>;
}

/**
 * Seen from a client: its revision of the legacy era, then its era, then the transport of 2024-11-05. Each lets pass what it
 * has nothing to do with.
 */
export function createBridges(context: BridgeContext): Bridges {
  const transports = new HttpSseServers(context);
  const eras = new EraBridge({ ...context, upstream: transports });
  return {
    upstream: new RevisionBridge({ ...context, upstream: eras }),
    leave: () => eras.leave(),
    endSession: (id) => {
      const own = readRevisedSessionId(id)?.id ?? id;
      eras.endSession(own);
      transports.endSession(own);
    },
  };
}
