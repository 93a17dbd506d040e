import type { UpstreamRequest } from '../upstream/upstream.ts';
import { isAllowed } from './authorize.ts';
import { forwardRefusals } from './errors.ts';
import type { ForwardCall } from './forward-call.ts';
import { grpcOutcome, grpcTrailers } from './grpc-status.ts';
import { grpcTimeout, grpcTimeoutMs } from './grpc-timeout.ts';
import { grpcUpstreamHeaders } from './headers.ts';
import { Relay } from './relay.ts';
import { RequestSubject } from './request-subject.ts';
import { isStrictPath } from './strict-path.ts';

/**
 * Serves a request of a gRPC route: policy sees method, path and headers; messages pass in both directions as they come.
 * The deadline is the caller's or that of the route, whichever is shorter, and the backend is told it.
 */
export function serveGrpc(call: ForwardCall): void {
  const { exchange } = call;
  const { head } = exchange;
  if (!exchange.takesTrailers) return call.refuse(forwardRefusals.needsHttp2);
  if (head.method !== 'POST') return call.refuse(forwardRefusals.methodNotAllowed, ['Allow', 'POST']);
  if (head.header('content-type')?.startsWith('application/grpc') !== true) return call.refuse(forwardRefusals.notGrpc);
  if (!isStrictPath(head.path)) return call.refuse(forwardRefusals.ambiguousPath);
  const asked = grpcTimeoutMs(head.header('grpc-timeout'));
  if (asked === undefined) return call.refuse(forwardRefusals.badTimeout);
  if (isAllowed(call, new RequestSubject(head))) send(call, asked);
}

/** @param askedMs the caller's deadline; infinite without one. */
function send(call: ForwardCall, askedMs: number): void {
  const { route, exchange } = call;
  const { entry, timeouts } = route;
  const { head } = exchange;
  const totalMs = Math.min(askedMs, timeouts.totalMs);
  const headers = grpcUpstreamHeaders(head, entry.forwarding.requestHeaders);
  const isBounded = entry.forwarding.timeouts.requestMs !== null || entry.bounds.timeoutMs !== null;
  const isShortened = isBounded && totalMs < askedMs;
  const request: UpstreamRequest = {
    ...{ origin: route.origin, poolKey: entry.backend.key, peer: entry.backend, method: 'POST' },
    target: head.query === '' ? head.path : `${head.path}?${head.query}`,
    headers: isShortened ? grpcTimeout(headers, totalMs) : headers,
    ...{ body: undefined, streamed: head.contentLength ?? 'chunked', trailers: head.header('trailer') !== undefined },
    maxBodyBytes: route.maxBodyBytes,
    safeToResend: false,
    timeouts: { ...timeouts, headMs: Math.min(timeouts.headMs, totalMs), totalMs, countsUpload: true },
  };
  new Relay(call, request, { trailers: grpcTrailers, outcome: grpcOutcome }).start();
}
