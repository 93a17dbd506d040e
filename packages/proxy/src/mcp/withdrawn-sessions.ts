import type { AuthenticationTable, RoutingTable, TenantTable } from '@signalbox/config';
import { acceptsPrincipal } from '../session/credential.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { endAtServers } from './idle-sessions.ts';
import type { Services } from './services.ts';

/** Longest time that requests wait for it, in milliseconds. */
const sliceMs = 2;

/**
 * Ends sessions, here and at their servers, whose principal can have no accepted credential any more: its key is gone, or all
 * of its tokens are revoked. Its requests are refused as it is; this is so that nothing is kept for it.
 */
export function endWithdrawnSessions(services: Services): void {
  const { tables, logger } = services;
  /** The table that sessions were looked through for last. */
  let seen: RoutingTable | undefined;
  let isLooking = false;

  const look = async (): Promise<void> => {
    while (seen !== undefined && tables.value !== undefined && seen !== tables.value) {
      const before = seen;
      seen = tables.value;
      await endAll(services, before, seen);
    }
  };
  tables.observe({
    onSwap: (previous) => {
      seen ??= previous;
      if (isLooking) return;
      isLooking = true;
      look()
        .catch((error: unknown) => logger.error('sessions could not be looked through', { error: String(error) }))
        .finally(() => (isLooking = false));
    },
    onRetired: () => undefined,
  });
}

async function endAll(services: Services, before: RoutingTable, table: RoutingTable): Promise<void> {
  const slice = new TimeSlice(services.clock, sliceMs);
  await slice.pause();
  const changed = new Map<string, ReadonlyMap<string, AuthenticationTable>>();
  for (const [name, tenant] of table.tenants) {
    const old = before.tenants.get(name);
    const routes = old && old !== tenant ? await changedRoutes(old, tenant, slice) : undefined;
    if (routes && routes.size > 0) changed.set(name, routes);
    if (slice.spent) await slice.pause();
  }
  if (changed.size === 0) return;
  // Their streams say themselves why they end.
  await services.streams.settled();
  const accepts = rememberedAcceptance();
  for (const [id, session] of services.sessions.known()) {
    const { tenant, route, principal } = session.facts;
    const authentication = changed.get(tenant)?.get(route);
    if (authentication && !accepts(authentication, principal)) {
      services.sessions.end(id, session);
      endAtServers(services, session);
    }
    if (slice.spent) await slice.pause();
  }
}

/** Routes that accept other credentials than before, and which. */
async function changedRoutes(
  before: TenantTable,
  { routes }: TenantTable,
  slice: TimeSlice,
): Promise<ReadonlyMap<string, AuthenticationTable>> {
  const changed = new Map<string, AuthenticationTable>();
  for (const [name, { authentication }] of routes) {
    const old = before.routes.get(name);
    if (old && old.authentication.digest !== authentication.digest) changed.set(name, authentication);
    if (slice.spent) await slice.pause();
  }
  return changed;
}

/** Many sessions are of one principal, and many routes accept the same credentials. */
function rememberedAcceptance(): (table: AuthenticationTable, principal: string) => boolean {
  const known = new Map<string, boolean>();
  return (table, principal) => {
    const key = `${table.digest} ${principal}`;
    const accepted = known.get(key) ?? acceptsPrincipal(table, principal);
    known.set(key, accepted);
    return accepted;
  };
}
