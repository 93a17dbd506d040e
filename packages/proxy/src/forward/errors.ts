import type { UpstreamError } from '../upstream/upstream.ts';

/** An answer of the gateway's own to a request that is not of MCP. */
export interface ForwardRefusal {
  /** Stable name: the `error` of the outcome event. */
  readonly name: string;
  /** HTTP status. */
  readonly status: number;
  /** For people. */
  readonly message: string;
}

/** Everything that the gateway itself answers requests of HTTP routes with; those of A2A begin with them. */
export const forwardRefusals = {
  unauthenticated: refusal('unauthenticated', 401, 'A bearer credential is required'),
  invalidCredential: refusal('invalid_credential', 401, 'The credential is not accepted here'),
  keysUnavailable: refusal('keys_unavailable', 503, "The token issuer's keys cannot be fetched; try again"),
  ambiguousPath: refusal('ambiguous_path', 400, 'The path has an empty segment or an escape that it does not need'),
  badTimeout: refusal('bad_timeout', 400, 'grpc-timeout is not a number of up to eight digits with a unit'),
  needsHttp2: refusal('needs_http2', 505, 'gRPC needs HTTP/2'),
  notGrpc: refusal('not_grpc', 415, 'Content-Type must be application/grpc'),
  unknownPath: refusal('unknown_path', 404, 'Nothing is served at this path'),
  methodNotAllowed: refusal('method_not_allowed', 405, 'Method not allowed'),
  denied: refusal('denied', 403, 'Not allowed here'),
  rateLimited: refusal('rate_limited', 429, 'Too many calls; try again later'),
  upstreamUnreachable: refusal('upstream_unreachable', 502, 'The upstream server cannot be reached'),
  upstreamTimeout: refusal('upstream_timeout', 504, 'The upstream server did not answer in time'),
  upstreamBusy: refusal('upstream_busy', 503, 'Too many requests wait for the upstream server'),
  upstreamFailed: refusal('upstream_failed', 502, 'The upstream server failed'),
  upstreamInvalid: refusal('upstream_invalid', 502, 'The upstream server gave an answer that cannot be used'),
  upstreamTooLarge: refusal('upstream_too_large', 502, 'The upstream server’s answer is larger than is allowed here'),
  bodyTooLarge: refusal('body_too_large', 413, 'The body is too large'),
  tooManyStreams: refusal('too_many_streams', 503, 'The gateway has too many open streams; try again'),
  internal: refusal('internal', 500, 'Internal error'),
  // While the request is under way; where the answer began, it is broken off.
  permissionWithdrawn: refusal('revoked', 403, 'Permission was withdrawn'),
  credentialExpired: refusal('expired', 200, 'The credential has expired'),
  routeRemoved: refusal('route_removed', 200, 'The route was removed'),
  backendChanged: refusal('backend_changed', 200, 'The backend was changed'),
} as const satisfies Record<string, ForwardRefusal>;

/** The catalogue's word for a broken exchange. */
export function forwardRefusalOf(error: UpstreamError): ForwardRefusal {
  switch (error.code) {
    case 'connect-failed':
    case 'connect-timeout':
    case 'breaker-open':
    case 'quarantined':
    case 'other-era':
      return forwardRefusals.upstreamUnreachable;
    case 'head-timeout':
    case 'idle-timeout':
    case 'total-timeout':
      return forwardRefusals.upstreamTimeout;
    case 'pool-full':
      return forwardRefusals.upstreamBusy;
    case 'closed-early':
      return forwardRefusals.upstreamFailed;
    case 'protocol':
      return forwardRefusals.upstreamInvalid;
    case 'too-large':
      return forwardRefusals.upstreamTooLarge;
  }
}

function refusal(name: string, status: number, message: string): ForwardRefusal {
  return { name, status, message };
}
