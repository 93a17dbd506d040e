import { memberValue } from '../json/members.ts';
import { scanBody } from '../json/scan.ts';
import type { UpstreamError, UpstreamHead } from '../upstream/upstream.ts';
import { type Call, jsonHeaders } from './call.ts';
import { modernCodec } from './codec/rev2026-07-28.ts';
import { codes, endings, type Refusal, refusals } from './errors.ts';
import type { RouteState } from './route-state.ts';

/** The catalogue's word for a broken exchange. */
export function refusalOf(error: UpstreamError): Refusal {
  switch (error.code) {
    case 'connect-failed':
    case 'connect-timeout':
    case 'breaker-open':
      return refusals.upstreamUnreachable;
    case 'quarantined':
      return refusals.quarantined;
    case 'head-timeout':
    case 'idle-timeout':
    case 'total-timeout':
      return refusals.upstreamTimeout;
    case 'pool-full':
      return refusals.upstreamBusy;
    case 'closed-early':
      return refusals.upstreamFailed;
    case 'other-era':
      return refusals.otherEra;
    case 'protocol':
      return refusals.upstreamInvalid;
    case 'too-large':
      return refusals.upstreamTooLarge;
  }
}

/**
 * Answers a request whose upstream answer is not 200. What the upstream says about the client's message goes on, under
 * the client's id; what it says about the gateway's hop does not.
 */
export function answerUpstreamRefusal(call: Call, head: UpstreamHead, body: Buffer): void {
  const { status } = head;
  if (status === 401 || status === 403 || status === 429 || status < 400 || status >= 500) {
    return call.refuse(refusals.upstreamFailed, { data: { status } });
  }
  const error = errorOf(call, body);
  if (call.era === 'modern') answerModern(call, status, error);
  else answerLegacy(call, status, error);
}

interface RawError {
  readonly code: number;
  /** Raw JSON of the error object. */
  readonly text: string;
}

function answerModern(call: Call, status: number, error: RawError | undefined): void {
  const { route, services } = call;
  const aboutTheHop = error?.code === codes.headerMismatch || error?.code === codes.unsupportedVersion;
  if (!error || aboutTheHop) {
    // Not how an upstream of this era answers what the door let through: it may be of another one now.
    services.eras.doubt(call.target?.state ?? (route as RouteState));
    return call.refuse(refusals.upstreamFailed, { data: { status } });
  }
  relayError(call, status, error);
}

function answerLegacy(call: Call, status: number, error: RawError | undefined): void {
  const { session, services, rule } = call;
  if (status === 404 && session && session.facts.upstreamId !== '') {
    services.sessions.end(call.exchange.head.header('mcp-session-id') ?? '', session);
    return call.refuse(refusals.sessionUnknown);
  }
  if (rule?.special === 'initialize' && error?.code === codes.unsupportedVersion) {
    return call.refuse(refusals.modernUpstream, {
      message: 'Unsupported protocol version: the server behind this route speaks only the stateless revisions of MCP',
      data: { supported: modernCodec.versions, requested: call.version },
    });
  }
  if (!error) return call.refuse(refusals.upstreamFailed, { data: { status } });
  relayError(call, status, error);
}

function relayError(call: Call, status: number, error: RawError): void {
  const body = `{"jsonrpc":"2.0","id":${call.clientId},"error":${error.text}}`;
  call.respond(status, jsonHeaders, body, endings.upstreamError);
}

function errorOf(call: Call, body: Buffer): RawError | undefined {
  const scanned = scanBody(body, call.services.limits.responseScan);
  if (scanned.kind !== 'message' || !scanned.message.hasError) return undefined;
  const start = body.indexOf('{');
  const error = memberValue(body, { start, end: body.length }, 'error');
  const code = error && memberValue(body, error, 'code');
  if (!code) return undefined;
  return {
    code: Number(body.toString('latin1', code.start, code.end)),
    text: body.toString('utf8', error.start, error.end),
  };
}
