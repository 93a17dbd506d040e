import type { RoutingTable } from '@signalbox/config';
import type { DemandOutcome } from '../discovery/tenant-demand.ts';
import { type Call, jsonHeaders, originOf } from '../mcp/call.ts';
import { endings, type Refusal, refusals } from '../mcp/errors.ts';
import { metadataPrefix, type RouteState } from '../mcp/route-state.ts';
import { refuse, type Step } from './step.ts';

/** Pins the present table for the whole request and finds the route in it, once its tenant is there. */
export function admit(call: Call): Step | Promise<Step> {
  const { services, exchange } = call;
  const admission = services.tables.admit();
  if (!admission) return refuse(call, refusals.notReady);
  call.admission = admission;
  const { path } = exchange.head;
  const isMetadata = path.startsWith(metadataPrefix);
  const found = findRoute(call, isMetadata ? path.slice(metadataPrefix.length) : path);
  if (found === 'stop') return 'stop';
  if (found instanceof Promise)
    return found.then((route) => (route === 'stop' ? 'stop' : settle(call, route, isMetadata)));
  return settle(call, found, isMetadata);
}

function settle(call: Call, route: RouteState | undefined, isMetadata: boolean): Step {
  if (isMetadata) return answerMetadata(call, route);
  if (!route) return refuse(call, refusals.unknownPath);
  take(call, route);
  return 'continue';
}

/** From here on the tenant is in use, up to the end of the call. */
function take(call: Call, route: RouteState): void {
  call.route = route;
  call.services.demand?.use(route.entry.tenant);
}

type Found = RouteState | undefined | 'stop';

/** The route of a path. Waits for its tenant if that is not here and may be asked for. */
function findRoute(call: Call, path: string): Found | Promise<Found> {
  const { demand } = call.services;
  const table = call.admission?.table;
  const route = table && matchRoute(call, table, path);
  if (route || !demand || !table) return route;
  const owner = table.operator?.ownerOf(path);
  if (owner === undefined || table.tenants.has(owner)) return undefined;
  return waitForTenant(call, owner, path);
}

const outcomes: Readonly<Record<Exclude<DemandOutcome, 'loaded'>, Refusal>> = {
  absent: refusals.tenantAbsent,
  refused: refusals.tenantRefused,
  late: refusals.tenantLate,
  busy: refusals.tenantsBusy,
};

/** Lets go of the table, and goes on under the one that has the tenant. */
async function waitForTenant(call: Call, tenant: string, path: string): Promise<Found> {
  const { demand, tables } = call.services;
  call.owner = tenant;
  call.admission?.[Symbol.dispose]();
  call.admission = undefined;
  const outcome = (await demand?.want(tenant)) ?? 'absent';
  if (call.exchange.closed) call.endUnanswered(0, endings.clientGone);
  if (call.ended) return 'stop';
  if (outcome !== 'loaded') {
    refuse(call, outcomes[outcome]);
    return 'stop';
  }
  call.admission = tables.admit();
  return call.admission && matchRoute(call, call.admission.table, path);
}

function matchRoute(call: Call, table: RoutingTable, path: string): RouteState | undefined {
  const { gateway, routes } = call.services;
  const { head } = call.exchange;
  const found = table.match({ gateway, host: head.host, path, header: (name) => head.header(name) });
  return found && routes.of(found);
}

/** OAuth protected-resource metadata of a route (RFC 9728): open to everyone, since it says how to get a token. */
function answerMetadata(call: Call, route: RouteState | undefined): Step {
  const { head } = call.exchange;
  if (head.method !== 'GET') return refuse(call, refusals.methodNotAllowed);
  if (!route || route.metadataPath === '') return refuse(call, refusals.unknownPath);
  take(call, route);
  const { endpoint, authentication } = route.entry;
  const metadata = {
    resource: originOf(call.exchange) + endpoint,
    authorization_servers: [...authentication.jwt.keys()],
    bearer_methods_supported: ['header'],
  };
  call.respond(200, jsonHeaders, JSON.stringify(metadata));
  return 'stop';
}
