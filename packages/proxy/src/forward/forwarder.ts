import type { ForwardRouteEntry } from '@signalbox/config';
import { a2aWording } from '../a2a/errors.ts';
import { serveA2a } from '../a2a/serve-a2a.ts';
import type { Exchange } from '../http/exchange.ts';
import { endings } from '../mcp/errors.ts';
import type { ServeOther, Services } from '../mcp/services.ts';
import { type Identified, identify } from '../session/identify.ts';
import type { Admission } from '../table/admission.ts';
import { forwardRefusals } from './errors.ts';
import { grpcWording } from './grpc-status.ts';
import { ForwardCall } from './forward-call.ts';
import { ForwardRoutes } from './forward-route.ts';
import { serveGrpc } from './serve-grpc.ts';
import { serveHttp } from './serve-http.ts';

/**
 * What serves requests of routes of kind http, grpc and a2a: who calls is found out first, then the protocol decides and
 * sends on. Each request ends in exactly one outcome event.
 */
export function createForwarder(services: Services): ServeOther {
  const routes = new ForwardRoutes(services.tokens, services.limits);
  return (exchange: Exchange, admission: Admission, entry: ForwardRouteEntry) => {
    const call = new ForwardCall(services, exchange, admission, routes.of(entry));
    if (entry.kind === 'a2a') call.wordRefusal = a2aWording('null');
    else if (entry.kind === 'grpc' && exchange.takesTrailers) call.wordRefusal = grpcWording;
    try {
      authenticate(call);
    } catch (error) {
      call.fail(error);
    }
  };
}

function authenticate(call: ForwardCall): void {
  const header = call.exchange.head.header('authorization');
  const identified = identify(call.services.tokens, call.route, header, call.arrivedAt);
  if (!(identified instanceof Promise)) return goOn(call, identified);
  identified.then(
    (found) => {
      if (call.exchange.closed) call.endUnanswered(0, endings.clientGone);
      else attempt(call, () => goOn(call, found));
    },
    (error: unknown) => call.fail(error),
  );
}

function attempt(call: ForwardCall, act: () => void): void {
  try {
    act();
  } catch (error) {
    call.fail(error);
  }
}

function goOn(call: ForwardCall, identified: Identified): void {
  switch (identified) {
    case 'missing':
      return call.refuse(forwardRefusals.unauthenticated);
    case 'unavailable':
      return call.refuse(forwardRefusals.keysUnavailable);
    case 'refused':
      return call.refuse(forwardRefusals.invalidCredential);
    default:
      call.credential = identified;
      return serve(call);
  }
}

function serve(call: ForwardCall): void {
  switch (call.route.entry.kind) {
    case 'http':
      return serveHttp(call);
    case 'a2a':
      return serveA2a(call);
    case 'grpc':
      return serveGrpc(call);
  }
}
