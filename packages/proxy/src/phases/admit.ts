import type { RouteEntry, RoutingTable } from '@signalbox/config';
import type { RequestHead } from '../http/exchange.ts';
import { type Call, jsonHeaders, originOf } from '../mcp/call.ts';
import { refusals } from '../mcp/errors.ts';
import { metadataPrefix } from '../mcp/route-state.ts';
import { refuse, type Step } from './step.ts';

/** Pins the present table for the whole request and finds the route in it. */
export function admit(call: Call): Step {
  const { services, exchange } = call;
  const admission = services.tables.admit();
  if (!admission) return refuse(call, refusals.notReady);
  call.admission = admission;
  const { head } = exchange;
  if (head.path.startsWith(metadataPrefix)) return answerMetadata(call, admission.table);
  const found = matchRoute(call, admission.table, head, head.path);
  if (found?.kind === 'mcp') {
    call.route = services.routes.of(found);
    return 'continue';
  }
  if (!found) return refuse(call, refusals.unknownPath);
  services.serveOther(exchange, call.handOver(), found);
  return 'stop';
}

function matchRoute(call: Call, table: RoutingTable, head: RequestHead, path: string): RouteEntry | undefined {
  return table.match({
    gateway: call.services.gateway,
    ...{ host: head.host, path, header: (name) => head.header(name) },
  });
}

/** OAuth protected-resource metadata of a route (RFC 9728): open to everyone, since it says how to get a token. */
function answerMetadata(call: Call, table: RoutingTable): Step {
  const { head } = call.exchange;
  const entry = matchRoute(call, table, head, head.path.slice(metadataPrefix.length));
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
