import { forwardedOutcomeEvent, type OutcomeDecision, type OutcomeEvent } from '@signalbox/audit';
import { type A2aSubject, type Decision, decide, type ForwardRouteEntry, type HttpSubject } from '@signalbox/config';
import type { BodyWriter, Exchange } from '../http/exchange.ts';
import { traceIdOf } from '../http/trace-id.ts';
import { type Exceeded, limitHeaders } from '../limits/local-rate-limit.ts';
import type { Services } from '../mcp/services.ts';
import type { Credential } from '../session/credential.ts';
import type { Admission } from '../table/admission.ts';
import { revisionIn } from '../table/revision.ts';
import { type ForwardRefusal, forwardRefusals } from './errors.ts';
import type { ForwardRoute } from './forward-route.ts';

/** How refusals are worded. */
export type WordRefusal = (refusal: ForwardRefusal) => {
  /** Of HTTP, where it is not that of the refusal. */
  readonly status?: number;
  /** Header fields about the body, or in place of it. */
  readonly headers: readonly string[];
  readonly body?: string;
};

/**
 * One request of a route that is not of MCP, from admission to its outcome. Whoever ends it, it ends once, and then its
 * event is recorded and its table released.
 */
export class ForwardCall {
  readonly services: Services;
  readonly exchange: Exchange;
  readonly admission: Admission;
  readonly route: ForwardRoute;
  readonly arrivedAt: number;
  readonly #startedAt: number;
  credential: Credential | undefined;
  /** What policy was asked about. */
  subject: HttpSubject | A2aSubject | undefined;
  /** HTTP method, or the operation of A2A 1.0. */
  method: string;
  /** Of A2A. */
  protocolVersion = '';
  decision: OutcomeDecision = 'none';
  decidedBy = '';
  requestBytes = 0;
  wordRefusal: WordRefusal = problemDetails;
  /** What it holds of limits until it ends. */
  held: Disposable | undefined;
  /** Runs when the call ends, whatever ended it. */
  onEnded: (() => void) | undefined;
  #status = 0;
  #writer: BodyWriter | undefined;
  #ended = false;

  constructor(services: Services, exchange: Exchange, admission: Admission, route: ForwardRoute) {
    this.services = services;
    this.exchange = exchange;
    this.admission = admission;
    this.route = route;
    this.method = exchange.head.method;
    this.arrivedAt = services.clock.now();
    this.#startedAt = services.clock.monotonic();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether rules of an entry, that of the route or its successor, allow what the request is about. */
  decide(entry: ForwardRouteEntry, credential: Credential, subject: HttpSubject | A2aSubject): Decision {
    const { head } = this.exchange;
    return decide(entry.authorization, {
      ...{ principal: credential.principal, tenant: entry.tenant, backend: entry.backend.name, subject, mcp: null },
      ...{ request: { host: head.host, path: head.path }, session: '', nowMs: this.services.clock.now() },
    });
  }

  /** Answers with an error of the catalogue and ends the call. */
  refuse(refusal: ForwardRefusal, headers: readonly string[] = []): void {
    if (this.#ended) return;
    if (this.decision === 'none') this.decision = decisionOf(refusal);
    const { status = refusal.status, headers: about, body } = this.wordRefusal(refusal);
    this.respond(status, [...about, ...this.#extraHeaders(refusal), ...headers], body, refusal.name);
  }

  /** A limit leaves no room for the call. */
  refuseLimited(exceeded: Exceeded): void {
    this.decision = 'limited';
    this.decidedBy = exceeded.limit.id;
    this.refuse(forwardRefusals.rateLimited, limitHeaders(exceeded));
  }

  /** Sends a whole answer and ends the call. @param error name of the outcome; empty for success. */
  respond(status: number, headers: readonly string[], body: Buffer | string | undefined, error = ''): void {
    if (this.#ended) return;
    this.#status = status;
    this.exchange.respond(status, headers, body);
    this.end(error);
  }

  /** Begins an answer in pieces. The call ends with `end`. */
  stream(status: number, headers: readonly string[], contentLength?: number, trails = false): BodyWriter {
    this.#status = status;
    this.#writer = this.exchange.stream(status, headers, contentLength, trails);
    return this.#writer;
  }

  /** Breaks off: an error when no answer has begun, a broken answer otherwise. */
  abandon(refusal: ForwardRefusal): void {
    if (!this.#writer) return this.refuse(refusal);
    this.#writer.abort();
    this.end(refusal.name);
  }

  /** The codec has answered by itself, or the client left: nothing more can be sent. */
  endUnanswered(status: number, error: string): void {
    this.#status = status;
    this.end(error);
  }

  /** Ends the call: exactly one event, however often and by whomever this is called. */
  end(error: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { services } = this;
    const durationMs = services.clock.monotonic() - this.#startedAt;
    this.onEnded?.();
    this.held?.[Symbol.dispose]();
    services.requestMetrics.forwarded(this.route.entry.kind, this.decision, durationMs);
    services.recorder.record(this.#outcome(error, durationMs));
    this.admission[Symbol.dispose]();
  }

  /** A bug, not an operating error: logged, and the caller gets an answer if none has begun. */
  fail(error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.services.logger.error('a request failed for no reason of its own', { error: String(error), stack });
    this.abandon(forwardRefusals.internal);
  }

  #outcome(error: string, durationMs: number): OutcomeEvent {
    const { services, route, exchange } = this;
    const { entry } = route;
    const fields = {
      ...{ id: services.eventIds.next(), at: services.isoTimes.of(this.arrivedAt), node: services.node },
      ...{ tenant: entry.tenant, gateway: services.gateway, route: entry.name },
      revision: revisionIn(this.admission.table, entry.tenant),
      ...{ principal: this.credential?.principal.id ?? '', session: '', virtualServer: '' },
      ...{ backend: entry.backend.name, era: '' as const, protocolVersion: this.protocolVersion },
      ...{ method: this.method, tool: '', decision: this.decision, rule: this.decidedBy },
      ...{ status: this.#status, error, durationMs },
      ...{ requestBytes: this.requestBytes, responseBytes: exchange.responseBytes },
      traceId: traceIdOf(exchange.head.header('traceparent')),
    };
    return forwardedOutcomeEvent(fields, entry.kind, exchange.head.path);
  }

  #extraHeaders(refusal: ForwardRefusal): readonly string[] {
    switch (refusal.status) {
      case 401:
        return ['WWW-Authenticate', this.#challenge(refusal)];
      case 503:
        return ['Retry-After', '1'];
      default:
        return [];
    }
  }

  #challenge(refusal: ForwardRefusal): string {
    const { metadataPath } = this.route;
    const parts: string[] = [];
    if (refusal === forwardRefusals.invalidCredential) parts.push('error="invalid_token"');
    if (metadataPath !== '') parts.push(`resource_metadata="${publicOrigin(this.exchange)}${metadataPath}"`);
    return parts.length === 0 ? 'Bearer' : `Bearer ${parts.join(', ')}`;
  }
}

/** Scheme and authority by which the client reached us. The gate has checked the Host header. */
export function publicOrigin({ head }: Exchange): string {
  return `${head.secure ? 'https' : 'http'}://${head.header('host') ?? head.host}`;
}

/** RFC 9457, with the name of the error as `code`. */
function problemDetails({ name, status, message }: ForwardRefusal): ReturnType<WordRefusal> {
  const body = JSON.stringify({ type: 'about:blank', title: message, status, code: name });
  return { headers: ['Content-Type', 'application/problem+json'], body };
}

function decisionOf({ status }: ForwardRefusal): OutcomeDecision {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'deny';
  return status >= 500 ? 'none' : 'invalid';
}
