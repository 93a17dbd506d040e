import { type HeaderMatch, type Route, Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import type { ProblemList } from '../problem.ts';
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
  if (route.destination.case === undefined) found.error('missing-field', 'spec', 'needs a destination: mcp');
  else found.require('spec.mcp.virtualServer', route.destination.value.virtualServer, nameFault);
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
    found.require(`${field}.exact`, header.exact, headerValueFault);
  }
}

/** RFC 9110 token; headers that carry credentials or that other fields of a route match are left out. */
function headerNameFault(name: string): string | undefined {
  if (!/^[!#$%&'*+.^_`|~a-z0-9-]{1,64}$/.test(name)) return `${quote(name)} is not a header name`;
  if (name === 'host') return 'match the host name by spec.match.hostnames';
  if (name === 'authorization' || name === 'cookie') return `${quote(name)} carries a credential and cannot be matched`;
  return undefined;
}

function headerValueFault(value: string): string | undefined {
  if (value.length > limits.headerValue) {
    return `has ${value.length} characters; at most ${limits.headerValue} are allowed`;
  }
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
    ? undefined
    : 'must be printable ASCII without a space at either end';
}
