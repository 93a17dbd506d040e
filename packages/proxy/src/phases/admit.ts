import type { RouteEntry } from '@signalbox/config';
import { AdmissionInUse } from '../discovery/admission-in-use.ts';
import type { DemandOutcome } from '../discovery/tenant-demand.ts';
import { type Call, jsonHeaders, originOf } from '../mcp/call.ts';
import { endings, type Refusal, refusals } from '../mcp/errors.ts';
import { metadataPrefix } from '../mcp/route-state.ts';
import { refuse, type Step } from './step.ts';

/** Pins the present table for the whole request and finds the route in it, once its tenant is there. */
export function admit(call: Call): Step | Promise<Step> {
  const admission = call.services.tables.admit();
  if (!admission) return refuse(call, refusals.notReady);
  call.admission = admission;
  const { path } = call.exchange.head;
  const isMetadata = path.startsWith(metadataPrefix);
  const endpoint = isMetadata ? path.slice(metadataPrefix.length) : path;
  const found = matchRoute(call, endpoint);
  const absent = found ? undefined : absentOwner(call, endpoint);
  if (absent === undefined) return settle(call, found, isMetadata);
  return waitForTenant(call, absent).then((step) =>
    step === 'stop' ? step : settle(call, matchRoute(call, endpoint), isMetadata),
  );
}

function settle(call: Call, found: RouteEntry | undefined, isMetadata: boolean): Step {
  const { services, admission } = call;
  if (found && services.demand && admission) {
    call.admission = new AdmissionInUse(admission, services.demand, found.tenant);
  }
  if (isMetadata) return answerMetadata(call, found);
  if (found?.kind === 'mcp') {
    call.route = services.routes.of(found);
    return 'continue';
  }
  if (!found) return refuse(call, refusals.unknownPath);
  services.serveOther(call.exchange, call.handOver(), found);
  return 'stop';
}

function matchRoute(call: Call, path: string): RouteEntry | undefined {
  const { head } = call.exchange;
  return call.admission?.table.match({
    gateway: call.services.gateway,
    ...{ host: head.host, path, header: (name) => head.header(name) },
  });
}

/** The tenant that owns a path and is not here, if it may be asked for. */
function absentOwner({ services, admission }: Call, path: string): string | undefined {
  if (!services.demand || !admission) return undefined;
  const owner = admission.table.operator?.ownerOf(path);
  return owner !== undefined && !admission.table.tenants.has(owner) ? owner : undefined;
}

const outcomes: Readonly<Record<Exclude<DemandOutcome, 'loaded'>, Refusal>> = {
  absent: refusals.tenantAbsent,
  refused: refusals.tenantRefused,
  late: refusals.tenantLate,
  busy: refusals.tenantsBusy,
};

/** Lets go of the table, and takes the one that has the tenant. */
async function waitForTenant(call: Call, tenant: string): Promise<Step> {
  const { demand, tables } = call.services;
  call.owner = tenant;
  call.admission?.[Symbol.dispose]();
  call.admission = undefined;
  const outcome = (await demand?.want(tenant)) ?? 'absent';
  if (call.exchange.closed) call.endUnanswered(0, endings.clientGone);
  if (call.ended) return 'stop';
  if (outcome !== 'loaded') return refuse(call, outcomes[outcome]);
  call.admission = tables.admit();
  return 'continue';
}

/** OAuth protected-resource metadata of a route (RFC 9728): open to everyone, since it says how to get a token. */
function answerMetadata(call: Call, entry: RouteEntry | undefined): Step {
  const { head } = call.exchange;
  if (head.method !== 'GET') return refuse(call, refusals.methodNotAllowed);
  if (!entry || entry.authentication.jwt.size === 0) return refuse(call, refusals.unknownPath);
  if (entry.kind === 'mcp') call.route = call.services.routes.of(entry);
  const { endpoint, authentication } = entry;
  const metadata = {
    resource: originOf(call.exchange) + endpoint,
    authorization_servers: [...authentication.jwt.keys()],
    bearer_methods_supported: ['header'],
  };
  call.respond(200, jsonHeaders, JSON.stringify(metadata));
  return 'stop';
}
