/** An answer of the gateway that is not a plain success: one entry of the catalogue below. */
export interface Refusal {
  /** Stable name: the `error` of the outcome event. */
  readonly name: string;
  /** HTTP status. */
  readonly status: number;
  /** JSON-RPC error code. */
  readonly code: number;
  /** For people; an answer may be more precise. */
  readonly message: string;
}

/** JSON-RPC codes; those of A2A mean other things and have their own table. */
export const codes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  server: -32000,
  sessionNotFound: -32001,
  resourceNotFound: -32002,
  urlElicitationRequired: -32042,
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

/** Everything that the gateway itself answers requests with, by where on the path it is found. */
export const refusals = {
  // Before anyone is authenticated.
  overloaded: refusal('overloaded', 503, codes.server, 'The gateway is overloaded; try again'),
  notReady: refusal('not_ready', 503, codes.server, 'The gateway has no configuration yet; try again'),
  unknownPath: refusal('unknown_path', 404, codes.server, 'Nothing is served at this path'),
  tenantAbsent: refusal('tenant_absent', 404, codes.server, 'Nothing is served at this path'),
  tenantRefused: refusal('tenant_refused', 503, codes.server, 'The configuration of this path cannot be served'),
  tenantLate: refusal('tenant_late', 503, codes.server, 'The configuration of this path is not here yet; try again'),
  tenantsBusy: refusal('tenants_busy', 503, codes.server, 'The gateway loads too much configuration; try again'),
  unauthenticated: refusal('unauthenticated', 401, codes.server, 'A bearer credential is required'),
  invalidCredential: refusal('invalid_credential', 401, codes.server, 'The credential is not accepted here'),
  keysUnavailable: refusal(
    'keys_unavailable',
    503,
    codes.server,
    "The token issuer's keys cannot be fetched; try again",
  ),
  // The HTTP message.
  methodNotAllowed: refusal('method_not_allowed', 405, codes.server, 'Method not allowed'),
  notAcceptable: refusal(
    'not_acceptable',
    406,
    codes.server,
    'Accept must list application/json and text/event-stream',
  ),
  notAcceptableStream: refusal('not_acceptable', 406, codes.server, 'Accept must list text/event-stream'),
  wrongContentType: refusal('wrong_content_type', 415, codes.server, 'Content-Type must be application/json'),
  bodyTooLarge: refusal('body_too_large', 413, codes.server, 'The body is too large'),
  // The JSON-RPC message.
  notJson: refusal('not_json', 400, codes.parse, 'The body is not one strict JSON document'),
  notAMessage: refusal('not_a_message', 400, codes.invalidRequest, 'The body is not one JSON-RPC message'),
  batch: refusal('batch', 400, codes.invalidRequest, 'Batches are not accepted here; send one message a request'),
  // The era.
  invalidEnvelope: refusal('invalid_envelope', 400, codes.invalidParams, 'params._meta is not a valid envelope'),
  headerMismatch: refusal('header_mismatch', 400, codes.headerMismatch, 'Headers and body disagree'),
  unsupportedVersion: refusal('unsupported_version', 400, codes.unsupportedVersion, 'Unsupported protocol version'),
  missingCapability: refusal(
    'missing_capability',
    400,
    codes.missingCapability,
    'The client has not declared a capability that this needs',
  ),
  unsupportedLegacyVersion: refusal('unsupported_version', 400, codes.server, 'Unsupported protocol version'),
  modernUpstream: refusal('modern_upstream', 200, codes.invalidParams, 'Unsupported protocol version'),
  unknownMethod: refusal('unknown_method', 200, codes.methodNotFound, 'Method not found'),
  unknownModernMethod: refusal('unknown_method', 404, codes.methodNotFound, 'Method not found'),
  invalidParams: refusal('invalid_params', 200, codes.invalidParams, 'Invalid params'),
  // The session.
  sessionMissing: refusal('session_missing', 400, codes.server, 'Mcp-Session-Id is required; send initialize first'),
  sessionUnknown: refusal('session_unknown', 404, codes.sessionNotFound, 'Session not found'),
  eventsGone: refusal('events_gone', 400, codes.invalidParams, 'The events behind this id are not kept any more'),
  sharedStateAway: refusal('shared_state_away', 503, codes.server, 'What nodes share cannot be reached; try again'),
  // Policy: worded exactly as for a name that does not exist.
  unknownTool: refusal('denied', 200, codes.invalidParams, 'Unknown tool'),
  unknownTask: refusal('denied', 200, codes.invalidParams, 'Unknown task'),
  unknownPrompt: refusal('denied', 200, codes.invalidParams, 'Unknown prompt'),
  unknownResource: refusal('denied', 200, codes.invalidParams, 'Resource not found'),
  // Limits: as a result where a tool was called.
  rateLimited: refusal('rate_limited', 429, codes.server, 'Too many calls; try again later'),
  // The upstream leg: in-band, because the request itself was fine.
  upstreamUnreachable: refusal('upstream_unreachable', 200, codes.internal, 'The upstream server cannot be reached'),
  upstreamTimeout: refusal('upstream_timeout', 200, codes.internal, 'The upstream server did not answer in time'),
  upstreamBusy: refusal('upstream_busy', 200, codes.internal, 'Too many requests wait for the upstream server'),
  upstreamFailed: refusal('upstream_failed', 200, codes.internal, 'The upstream server failed'),
  upstreamInvalid: refusal(
    'upstream_invalid',
    200,
    codes.internal,
    'The upstream server gave an answer that is not MCP',
  ),
  upstreamTooLarge: refusal('upstream_too_large', 200, codes.internal, "The upstream server's answer is too large"),
  // Virtual servers of several members.
  otherEra: refusal('other_era', 200, codes.internal, 'The server behind this name speaks another era of MCP'),
  membersMissing: refusal('members_missing', 200, codes.internal, 'Members of the virtual server did not answer'),
  quarantined: refusal('quarantined', 200, codes.internal, 'The server behind this name is in quarantine'),
  // The node.
  tooManyStreams: refusal('too_many_streams', 503, codes.server, 'The gateway has too many open streams; try again'),
  internal: refusal('internal', 500, codes.internal, 'Internal error'),
  nodeGone: refusal('node_gone', 200, codes.internal, 'The node that carried the call is gone'),
  // After the answer began: its event ends the stream.
  permissionWithdrawn: refusal('revoked', 200, codes.server, 'Permission was withdrawn'),
  credentialWithdrawn: refusal('revoked', 200, codes.server, 'The credential is no longer accepted'),
  credentialExpired: refusal('expired', 200, codes.server, 'The credential has expired'),
  routeRemoved: refusal('route_removed', 200, codes.server, 'The route was removed'),
  backendChanged: refusal('backend_changed', 200, codes.server, 'The backend was changed'),
} as const satisfies Record<string, Refusal>;

/** Outcomes without an answer of the catalogue: the client left, its stream was cut, or it never passed the codec. */
export const endings = {
  clientCancelled: 'client_cancelled',
  clientGone: 'client_gone',
  slowClient: 'slow_client',
  terminated: 'terminated',
  drained: 'drained',
  httpRefused: 'http_refused',
  /** What the upstream itself said, which went on to the caller. */
  upstreamError: 'upstream_error',
} as const;

/** What may be added to a refusal. */
export interface ErrorDetail {
  /** Instead of the catalogue's message. */
  readonly message?: string;
  readonly data?: unknown;
}

/** JSON text of an error answer. @param id raw JSON text of the request's id; `null` when none could be read. */
export function errorMessage(id: string, refused: Refusal, detail: ErrorDetail = {}): string {
  const data = detail.data === undefined ? '' : `,"data":${JSON.stringify(detail.data)}`;
  const message = JSON.stringify(detail.message ?? refused.message);
  return `{"jsonrpc":"2.0","id":${id},"error":{"code":${refused.code},"message":${message}${data}}}`;
}

function refusal(name: string, status: number, code: number, message: string): Refusal {
  return { name, status, code, message };
}
