import { federatedOf } from '../federation/legs.ts';
import type { Session } from '../session/sessions.ts';
import type { Services } from './services.ts';

/** How often unused sessions are looked for, as a part of the time that they may go unused. */
const looks = 100;
/** Sessions that are ended at a time: their servers, and the connections there, are others' as well. */
const atATime = 100;

/**
 * Ends sessions that have gone unused at their servers, which would otherwise keep them for a client that does not come
 * back. Only where no other node can be using them, or where somebody has said that none does.
 */
export function endIdleSessions(services: Services): void {
  const { clock, limits } = services;
  if (!limits.endsIdleSessions || limits.sessionIdleMs === 0) return;
  clock.interval(Math.max(1_000, limits.sessionIdleMs / looks), () => {
    for (const session of services.sessions.takeIdle(atATime)) endAtServers(services, session);
  });
}

/** Tells the servers of a session that it is over. Nothing is known of servers that the session's route no longer leads to. */
export function endAtServers(services: Services, session: Session): void {
  const { tenant, route: name, backend, upstreamId, version } = session.facts;
  const entry = services.tables.value?.tenants.get(tenant)?.routes.get(name);
  if (entry?.kind !== 'mcp' || entry.mcp.sessionKey !== backend) return;
  const route = services.routes.of(entry);
  if (entry.mcp.federation) {
    const federated = federatedOf(services, session);
    for (const member of federated.begun(route.members)) void member.terminate();
    return federated.end();
  }
  if (upstreamId === '') return;
  const { origin, target, backend: peer, bounds } = route;
  services.upstream.dispatch(
    {
      ...{ origin, target, peer, poolKey: peer.key, method: 'DELETE', body: undefined, safeToResend: true },
      headers: ['Mcp-Session-Id', upstreamId, 'MCP-Protocol-Version', version],
      timeouts: bounds.message,
    },
    { onHead: () => undefined, onData: () => undefined, onEnd: () => undefined, onError: () => undefined },
  );
}
