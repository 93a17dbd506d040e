/** How a request ended; `limited`: policy allowed it, and an allowance was used up. */
export type OutcomeDecision = 'allow' | 'deny' | 'limited' | 'unauthenticated' | 'invalid' | 'none';

/**
 * What became of one request. One for every request, whatever happened to it. Arguments, results, credentials and
 * header values are not in it.
 */
export interface OutcomeEvent {
  readonly type: 'outcome';
  /** Unique, time-ordered within a node. */
  readonly id: string;
  /** ISO 8601, when the request arrived. */
  readonly at: string;
  readonly node: string;
  readonly tenant: string;
  readonly gateway: string;
  readonly route: string;
  /** Revision of the tenant's table that decided; 0 without a route. */
  readonly revision: number;
  /** Principal id; empty when nobody was authenticated. */
  readonly principal: string;
  /** The gateway's own session name, not the credential-like session id; empty without a session. */
  readonly session: string;
  readonly virtualServer: string;
  readonly backend: string;
  readonly era: 'legacy' | 'modern' | '';
  readonly protocolVersion: string;
  /** JSON-RPC method, the operation of A2A 1.0, or the HTTP method for requests without a message. */
  readonly method: string;
  /** Tool or prompt name, as the body names it; empty otherwise. */
  readonly tool: string;
  readonly decision: OutcomeDecision;
  /** Rule that decided, or limit that was used up; empty when none did. */
  readonly rule: string;
  /** HTTP status sent to the caller; 0 when it left before one was. */
  readonly status: number;
  /** Stable reason when the outcome is not a plain success: an error of errors.ts, `client_cancelled`, `revoked` … */
  readonly error: string;
  /** Milliseconds from arrival to the last byte. */
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** W3C trace id; empty when the caller sent none. */
  readonly traceId: string;
  /** What was spoken where it was not MCP. */
  readonly protocol?: 'http' | 'grpc' | 'a2a';
  /** Path of such a request, without query. */
  readonly path?: string;
}

/** What the one who records an outcome says about it. */
export type OutcomeFields = Omit<OutcomeEvent, 'type' | 'protocol' | 'path'>;

/**
 * The constructor of outcome events. Text that callers or upstreams chose is cut to `maxTextLength`, so that an
 * event has a bounded size whatever they sent.
 */
export function outcomeEvent(fields: OutcomeFields): OutcomeEvent {
  return {
    type: 'outcome',
    id: fields.id,
    at: fields.at,
    node: fields.node,
    tenant: fields.tenant,
    gateway: fields.gateway,
    route: fields.route,
    revision: fields.revision,
    principal: bounded(fields.principal),
    session: bounded(fields.session),
    virtualServer: fields.virtualServer,
    backend: fields.backend,
    era: fields.era,
    protocolVersion: bounded(fields.protocolVersion),
    method: bounded(fields.method),
    tool: bounded(fields.tool),
    decision: fields.decision,
    rule: fields.rule,
    status: fields.status,
    error: bounded(fields.error),
    durationMs: fields.durationMs,
    requestBytes: fields.requestBytes,
    responseBytes: fields.responseBytes,
    traceId: bounded(fields.traceId),
  };
}

/** The event of a request that was not of MCP. @param path without query. */
export function forwardedOutcomeEvent(
  fields: OutcomeFields,
  protocol: NonNullable<OutcomeEvent['protocol']>,
  path: string,
): OutcomeEvent {
  return { ...outcomeEvent(fields), protocol, path: bounded(path) };
}

/** Longest text in an event that comes from outside, in UTF-16 units. */
export const maxTextLength = 256;

function bounded(text: string): string {
  return text.length <= maxTextLength ? text : `${text.slice(0, maxTextLength - 1)}…`;
}
