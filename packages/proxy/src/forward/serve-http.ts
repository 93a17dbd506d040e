import { endings } from '../mcp/errors.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { isAllowed } from './authorize.ts';
import { forwardRefusals } from './errors.ts';
import type { ForwardCall } from './forward-call.ts';
import { targetOf } from './forward-route.ts';
import { upstreamHeaders } from './headers.ts';
import { Relay } from './relay.ts';
import { RequestSubject } from './request-subject.ts';
import { isStrictPath } from './strict-path.ts';

/** Serves a request of an HTTP route: policy sees method, path and headers; body and answer pass through as they come. */
export function serveHttp(call: ForwardCall): void {
  const { head } = call.exchange;
  if (!isStrictPath(head.path)) return call.refuse(forwardRefusals.ambiguousPath);
  if (!isAllowed(call, new RequestSubject(head))) return;
  const { contentLength: length } = head;
  if (length === 0) return send(call, { body: undefined });
  if (length === undefined || length > wholeBytes) {
    const trailers = head.header('trailer') !== undefined;
    return send(call, { body: undefined, streamed: length ?? 'chunked', trailers });
  }
  const body = call.exchange.body(wholeBytes);
  if (!(body instanceof Promise)) return sendWhole(call, body);
  body.then((read) => sendWhole(call, read)).catch((error: unknown) => call.fail(error));
}

/** Bodies up to this length travel in one piece with their head, and take a place at the backend only when they are here. */
const wholeBytes = 65_536;

function sendWhole(call: ForwardCall, body: Buffer | undefined): void {
  if (!body || call.exchange.closed) return call.endUnanswered(0, endings.clientGone);
  call.requestBytes = body.length;
  send(call, { body });
}

function send(call: ForwardCall, body: Pick<UpstreamRequest, 'body' | 'streamed' | 'trailers'>): void {
  const { route, exchange } = call;
  const { entry } = route;
  const { head } = exchange;
  const isBodiless = body.body === undefined && body.streamed === undefined;
  const request: UpstreamRequest = {
    ...{ origin: route.origin, poolKey: entry.backend.key, peer: entry.backend, timeouts: route.timeouts },
    ...{ method: head.method, target: targetOf(route, head.path, head.query) },
    headers: upstreamHeaders(head, entry.forwarding.requestHeaders),
    ...body,
    maxBodyBytes: route.maxBodyBytes,
    safeToResend: isBodiless && safeMethods.has(head.method),
  };
  new Relay(call, request).start();
}

/** RFC 9110 §9.2.1: repeating them does no harm. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
