import { type HeaderMatch, type Route, Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import type { ProblemList } from '../problem.ts';
import { checkHeaderModifier, checkMcpHeaders, checkRetry, checkTimeouts } from './forwarding.ts';
import { fieldNameFault, fieldValueFault } from './header.ts';
import { hostFault } from './host.ts';
import { nameFault, quote } from './name.ts';
import { pathFault } from './path.ts';

const strictnesses: readonly Unenforceable[] = Object.values(Unenforceable);
const limits = { hostnames: 64, headers: 8, headerValue: 256 };

/** What a Route must be by itself: a gateway, a match, and one destination. */
export function checkRoute(route: Route, found: ProblemList): void {
  found.require('spec.gateway', route.gateway, nameFault);
  if (!strictnesses.includes(route.unenforceable)) {
    found.error('invalid-value', 'spec.unenforceable', 'must be REFUSE or RESTRICT');
  }
  if (route.match === undefined) {
    found.error('missing-field', 'spec.match', 'is required');
  } else {
    found.require('spec.match.path', route.match.path, pathFault);
    found.checkEach('spec.match.hostnames', route.match.hostnames, limits.hostnames, hostFault);
    checkHeaders(route.match.headers, found);
  }
  checkDestination(route.destination, found);
  checkForwarding(route, found);
}

function checkDestination(destination: Route['destination'], found: ProblemList): void {
  if (destination.case === undefined) {
    found.error('missing-field', 'spec', 'needs a destination: mcp, http, grpc or a2a');
  } else if (destination.case === 'mcp') {
    found.require('spec.mcp.virtualServer', destination.value.virtualServer, nameFault);
  } else {
    found.require(`spec.${destination.case}.backend`, destination.value.backend, nameFault);
  }
}

/** What is done to requests on their way; nobody may believe that a field counts which does not. */
function checkForwarding(route: Route, found: ProblemList): void {
  const { requestHeaderModifier, responseHeaderModifier, timeouts, retry } = route;
  const kind = route.destination.case;
  if (kind === 'mcp') {
    for (const [field, modifier] of Object.entries({ requestHeaderModifier, responseHeaderModifier })) {
      if (modifier) checkMcpHeaders(modifier, `spec.${field}`, found);
    }
  }
  if (kind !== undefined && kind !== 'http' && retry !== undefined) {
    found.error('invalid-value', 'spec.retry', 'is only for routes of kind http');
  }
  if (requestHeaderModifier) checkHeaderModifier(requestHeaderModifier, 'spec.requestHeaderModifier', found);
  if (responseHeaderModifier) checkHeaderModifier(responseHeaderModifier, 'spec.responseHeaderModifier', found);
  if (timeouts) checkTimeouts(timeouts, found);
  if (retry) checkRetry(retry, found);
}

function checkHeaders(headers: readonly HeaderMatch[], found: ProblemList): void {
  if (!found.bounded('spec.match.headers', headers, limits.headers)) return;
  const names = new Set<string>();
  for (const [at, header] of headers.entries()) {
    const field = `spec.match.headers[${at}]`;
    const name = header.name.toLowerCase();
    found.require(`${field}.name`, name, headerNameFault);
    if (names.has(name)) found.error('duplicate', `${field}.name`, `${quote(name)} is already matched by this route`);
    names.add(name);
    found.require(`${field}.exact`, header.exact, (value) => fieldValueFault(value, limits.headerValue));
  }
}

/** RFC 9110 token; headers that carry credentials or that other fields of a route match are left out. */
function headerNameFault(name: string): string | undefined {
  const fault = fieldNameFault(name);
  if (fault !== undefined) return fault;
  if (name === 'host') return 'match the host name by spec.match.hostnames';
  if (name === 'authorization' || name === 'cookie') return `${quote(name)} carries a credential and cannot be matched`;
  return undefined;
}
