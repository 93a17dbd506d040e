import type { HttpSubject } from '@signalbox/config';
import type { RequestHead } from '../http/exchange.ts';
import { endings } from '../mcp/errors.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';
import { isAllowed } from './authorize.ts';
import { forwardRefusals } from './errors.ts';
import type { ForwardCall } from './forward-call.ts';
import { targetOf } from './forward-route.ts';
import { upstreamHeaders } from './headers.ts';
import { Relay } from './relay.ts';
import { isStrictPath } from './strict-path.ts';

/** Serves a request of an HTTP route: policy sees method, path and headers; body and answer pass through as they come. */
export function serveHttp(call: ForwardCall): void {
  const { head } = call.exchange;
  if (!isStrictPath(head.path)) return call.refuse(forwardRefusals.ambiguousPath);
  if (!isAllowed(call, new RequestSubject(head))) return;
  const length = announcedLength(head);
  if (length === 0) return send(call, { body: undefined });
  if (length === 'chunked' || length > wholeBytes) return send(call, { body: undefined, streamed: length });
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

function send(call: ForwardCall, body: Pick<UpstreamRequest, 'body' | 'streamed'>): void {
  const { route, exchange } = call;
  const { entry } = route;
  const { head } = exchange;
  const isBodiless = body.body === undefined && body.streamed === undefined;
  const request: UpstreamRequest = {
    ...{ origin: route.origin, poolKey: entry.backend.key, peer: entry.backend, timeouts: route.timeouts },
    ...{ method: head.method, target: targetOf(route, head.path, head.query) },
    headers: upstreamHeaders(head, entry.forwarding.requestHeaders),
    ...body,
    safeToResend: isBodiless && safeMethods.has(head.method),
  };
  new Relay(call, request).start();
}

/** RFC 9110 §9.2.1: repeating them does no harm. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The gate has made sure that there is one length, and that it is a number. */
function announcedLength(head: RequestHead): number | 'chunked' {
  return head.header('transfer-encoding') === undefined ? Number(head.header('content-length') ?? 0) : 'chunked';
}

/** What rules see of a request. Headers are gathered only for rules that read them. */
class RequestSubject implements HttpSubject {
  readonly kind = 'http';
  readonly method: string;
  readonly path: string;
  readonly #head: RequestHead;
  #headers: ReadonlyMap<string, string> | undefined;

  constructor(head: RequestHead) {
    this.method = head.method;
    this.path = head.path;
    this.#head = head;
  }

  get headers(): ReadonlyMap<string, string> {
    return (this.#headers ??= headersOf(this.#head));
  }
}

const credentials: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization']);

function headersOf(head: RequestHead): ReadonlyMap<string, string> {
  const fields = head.withPrefix('');
  const headers = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const earlier = headers.get(name);
    const value = fields[i + 1] as string;
    if (!credentials.has(name)) headers.set(name, earlier === undefined ? value : `${earlier},${value}`);
  }
  return headers;
}
