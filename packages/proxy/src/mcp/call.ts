import { type OutcomeDecision, outcomeEvent, type OutcomeEvent } from '@signalbox/audit';
import type { McpSubject, RoutingTable } from '@signalbox/config';
import { notRostered } from '@signalbox/runtime';
import type { MemberLeg, MemberState } from '../federation/member-leg.ts';
import type { BodyWriter, Exchange } from '../http/exchange.ts';
import { changedHeaders } from '../http/header-changes.ts';
import { traceIdOf } from '../http/trace-id.ts';
import type { ScannedMessage } from '../json/message.ts';
import type { Credential } from '../session/credential.ts';
import type { AnsweredTool } from '../tool-search/unwrap-call.ts';
import type { Session } from '../session/sessions.ts';
import type { Admission } from '../table/admission.ts';
import type { OpenCall } from '../table/open-calls.ts';
import { revisionIn } from '../table/revision.ts';
import type { Era, MethodRule } from './codec/codec.ts';
import { codes, type ErrorDetail, errorMessage, type Refusal, refusals } from './errors.ts';
import type { RouteState } from './route-state.ts';
import type { Services } from './services.ts';
import type { Edit } from './splice.ts';

/** What kind of message a POST carries; `get` and `delete` are the other two HTTP methods. */
export type MessageKind = 'request' | 'notification' | 'response' | 'batch' | 'get' | 'delete' | 'none';

/** Hears of each table that comes while a call is under way. */
export interface SeesTables {
  recheck(next: RoutingTable): void;
}

/**
 * One HTTP request on its way from admission to its outcome. Phases fill its fields in order and read those of earlier
 * phases; whoever ends it, it ends once, and then its event is recorded and its table released.
 */
export class Call implements OpenCall {
  place = notRostered;
  readonly services: Services;
  readonly exchange: Exchange;
  readonly #arrivedAt: number;
  readonly #startedAt: number;
  /** Held from the first phase to the end. */
  admission: Admission | undefined;
  route: RouteState | undefined;
  /** Tenant that owns the path; empty when nobody does, or when the route says it. */
  owner = '';
  credential: Credential | undefined;
  /** Raw body of a POST. */
  body: Buffer | undefined;
  message: ScannedMessage | undefined;
  kind: MessageKind = 'none';
  era: Era | '' = '';
  /** Protocol version: the session's, or the one the envelope names. */
  version = '';
  /** JSON-RPC method; the HTTP method before and without one. */
  method: string;
  rule: MethodRule | undefined;
  session: Session | undefined;
  /** The gateway's name of the session; empty without one. */
  sessionName = '';
  /** What policy was asked about; undefined for methods of the protocol itself. */
  subject: McpSubject | undefined;
  /** Of a federation: the member that the message is for. */
  target: CallTarget | undefined;
  /** Name of its task as the server has it; undefined for what is not about a task. */
  ownName: string | undefined;
  /** What changes in the request on its way, beside its id and presented names: handles become the server's own. */
  readonly edits: Edit[] = [];
  /** How that member is spoken to; set when the message is on its way. */
  leg: MemberLeg | undefined;
  /** A modern request whose upstream speaks only the legacy era. */
  isForLegacy = false;
  /** A tool of the gateway's own that it answers itself: where tools are found by search. */
  metaTool: AnsweredTool | undefined;
  /** It came through `call_tool`: the client was not shown the tool. */
  isUnwrapped = false;
  /** Tool or prompt that the body names. */
  toolName = '';
  /** What it holds of limits until it ends. */
  held: Disposable | undefined = undefined;
  decision: OutcomeDecision = 'none';
  decidedBy = '';
  #requestBytes = 0;
  #status = 0;
  #writer: BodyWriter | undefined;
  #ended = false;
  #seesTables: SeesTables | undefined;
  /** Runs when the call ends, whatever ended it: what was begun elsewhere is taken back there. */
  onEnded: (() => void) | undefined;

  constructor(services: Services, exchange: Exchange) {
    this.services = services;
    this.exchange = exchange;
    this.method = exchange.head.method;
    this.#arrivedAt = services.clock.now();
    this.#startedAt = services.clock.monotonic();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** When the request arrived, milliseconds since the epoch. */
  get arrivedAt(): number {
    return this.#arrivedAt;
  }

  /** Raw JSON of the client's id; `null` when the message has none that can be answered. */
  get clientId(): string {
    const { message } = this;
    if (!message?.id || (message.idType !== 'string' && message.idType !== 'integer')) return 'null';
    return message.bytes.toString('utf8', message.id.start, message.id.end);
  }

  /** From now on, and until the call ends, `seesTables` sees each table that comes. */
  watchTables(seesTables: SeesTables): void {
    if (this.#ended || !this.admission) return;
    this.#seesTables = seesTables;
    this.services.streams.calls.begin(this, this.admission.table);
  }

  /** Somebody else sees them. */
  unwatchTables(): void {
    if (this.#seesTables) this.services.streams.calls.end(this);
    this.#seesTables = undefined;
  }

  recheck(next: RoutingTable): void {
    this.#seesTables?.recheck(next);
  }

  setBody(body: Buffer): void {
    this.body = body;
    this.#requestBytes = body.length;
  }

  /** Answers with an error of the catalogue and ends the call. */
  refuse(refusal: Refusal, detail: ErrorDetail = {}): void {
    if (this.#ended) return;
    if (this.decision === 'none') this.decision = decisionOf(refusal);
    const status = refusal.status === 200 && this.kind !== 'request' ? outOfBand(refusal) : refusal.status;
    this.respond(status, this.#refusalHeaders(refusal), errorMessage(this.clientId, refusal, detail), refusal.name);
  }

  /**
   * Sends a whole answer and ends the call.
   * @param error name of the outcome; empty for success.
   * @returns true if nobody holds the body's bytes any more.
   */
  respond(status: number, headers: readonly string[], body: Buffer | string | undefined, error = ''): boolean {
    if (this.#ended) return true;
    this.#status = status;
    const isTaken = this.exchange.respond(status, this.#answerHeaders(headers), body);
    this.end(error);
    return isTaken;
  }

  /** Begins an answer in pieces. The call ends with `end`. */
  stream(status: number, headers: readonly string[], contentLength?: number): BodyWriter {
    this.#status = status;
    this.#writer = this.exchange.stream(status, this.#answerHeaders(headers), contentLength);
    return this.#writer;
  }

  #answerHeaders(headers: readonly string[]): readonly string[] {
    const changes = this.route?.answerHeaders;
    return changes ? changedHeaders(headers, changes) : headers;
  }

  /** Breaks off: an error when no answer has begun, a broken answer otherwise. */
  abandon(refusal: Refusal, detail: ErrorDetail = {}): void {
    if (!this.#writer) return this.refuse(refusal, detail);
    this.#writer.abort();
    this.end(refusal.name);
  }

  /** Leaves the request to whoever serves its route: this call neither answers nor ends. @returns what it held. */
  handOver(): Admission {
    this.#ended = true;
    return this.admission as Admission;
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
    this.unwatchTables();
    this.onEnded?.();
    this.held?.[Symbol.dispose]();
    services.requestMetrics.ended(this.era, this.decision, durationMs);
    services.recorder.record(this.#outcome(error, durationMs));
    this.admission?.[Symbol.dispose]();
  }

  #outcome(error: string, durationMs: number): OutcomeEvent {
    const { services, route, exchange } = this;
    const entry = route?.entry;
    return outcomeEvent({
      id: services.eventIds.next(),
      at: services.isoTimes.of(this.#arrivedAt),
      node: services.node,
      tenant: entry?.tenant ?? this.owner,
      gateway: services.gateway,
      route: entry?.name ?? '',
      revision: entry ? revisionIn(this.admission?.table, entry.tenant) : 0,
      principal: this.credential?.principal.id ?? '',
      session: this.sessionName,
      virtualServer: entry?.mcp.virtualServer ?? '',
      backend: this.#backend(),
      era: this.era,
      protocolVersion: this.version,
      method: this.method,
      tool: this.toolName,
      decision: this.decision,
      rule: this.decidedBy,
      status: this.#status,
      error,
      durationMs,
      requestBytes: this.#requestBytes,
      responseBytes: exchange.responseBytes,
      traceId: traceIdOf(exchange.head.header('traceparent')),
    });
  }

  /** Name of the backend that the message was for; empty when it was for several. */
  #backend(): string {
    const mcp = this.route?.entry.mcp;
    if (this.target) return this.target.state.backend.name;
    return mcp?.federation === null ? mcp.member.backend.name : '';
  }

  #refusalHeaders(refusal: Refusal): readonly string[] {
    switch (refusal.status) {
      case 401:
        return [...jsonHeaders, 'WWW-Authenticate', this.#challenge(refusal)];
      case 405:
        return [...jsonHeaders, 'Allow', this.era === 'modern' ? 'POST' : 'POST, GET, DELETE'];
      case 503:
        return [...jsonHeaders, 'Retry-After', '1'];
      default:
        return jsonHeaders;
    }
  }

  #challenge(refusal: Refusal): string {
    const metadata = this.route?.metadataPath ?? '';
    const parts: string[] = [];
    if (refusal === refusals.invalidCredential) parts.push('error="invalid_token"');
    if (metadata !== '') parts.push(`resource_metadata="${originOf(this.exchange)}${metadata}"`);
    return parts.length === 0 ? 'Bearer' : `Bearer ${parts.join(', ')}`;
  }
}

/** Where a message for one member of a federation goes. */
export interface CallTarget {
  readonly state: MemberState;
  /** Name or URI as the member has it. */
  readonly own: string;
}

/** Headers of JSON answers. */
export const jsonHeaders: readonly string[] = ['Content-Type', 'application/json'];

/** Scheme and authority by which the client reached us. The gate has checked the Host header. */
export function originOf(exchange: Exchange): string {
  const { head } = exchange;
  return `${head.secure ? 'https' : 'http'}://${head.header('host') ?? head.host}`;
}

function decisionOf(refusal: Refusal): OutcomeDecision {
  if (refusal.status === 401) return 'unauthenticated';
  const denied: readonly Refusal[] = [
    refusals.unknownTool,
    refusals.unknownPrompt,
    refusals.unknownResource,
    refusals.unknownTask,
  ];
  if (denied.includes(refusal)) return 'deny';
  return refusal.code === codes.internal || refusal.status >= 500 ? 'none' : 'invalid';
}

/** Status for what cannot be answered in-band, because the message was not a request. */
function outOfBand(refusal: Refusal): number {
  return refusal.code === codes.internal ? 502 : 400;
}
