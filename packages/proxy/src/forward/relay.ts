import type { ForwardRouteEntry, RoutingTable } from '@signalbox/config';
import { notRostered } from '@signalbox/runtime';
import type { BodySink, BodyWriter } from '../http/exchange.ts';
import { sseHeartbeat } from '../http/sse.ts';
import { endings } from '../mcp/errors.ts';
import { ticksToKeepAlive, type WatchedStream } from '../mcp/keep-alive.ts';
import type { Credential } from '../session/credential.ts';
import type { OpenCall } from '../table/open-calls.ts';
import type { OpenStream } from '../table/open-streams.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../upstream/upstream.ts';
import { type ForwardRefusal, forwardRefusalOf, forwardRefusals } from './errors.ts';
import type { ForwardCall } from './forward-call.ts';
import { clientHeaders } from './headers.ts';
import { recheckForwarded } from './recheck.ts';

/** What a protocol says at the end of an answer. Where the gateway ends one that has begun it is broken off otherwise. */
export interface Farewell {
  /** Last words, where the protocol has some, behind a whole event. */
  readonly words?: (refusal: ForwardRefusal, head: UpstreamHead) => string | undefined;
  /** Trailers that say so, wherever the answer is cut. With them every answer may have trailers. */
  readonly trailers?: (refusal: ForwardRefusal) => readonly string[];
  /** Name of the outcome that the backend's own last fields tell of; empty for success. */
  readonly outcome?: (status: number, fields: readonly string[]) => string;
}

/**
 * Carries one request to the backend and its answer back, both as they come and at the pace of whoever is slower. An
 * answer that lasts is looked after: it ends when its permission does.
 */
export class Relay implements UpstreamHandler, BodySink, OpenCall, OpenStream, WatchedStream {
  place = notRostered;
  readonly #call: ForwardCall;
  readonly #request: UpstreamRequest;
  readonly #farewell: Farewell;
  readonly #startedAt: number;
  #retriesLeft: number;
  #upstream: UpstreamExchange | undefined;
  #head: UpstreamHead | undefined;
  #writer: BodyWriter | undefined;
  #registration: Disposable | undefined;
  #entry: ForwardRouteEntry;
  #credential: Credential;
  #trailers: readonly string[] = [];
  /** What was sent of a stream of events ends with a whole one. */
  #between = true;
  /** Ticks since the backend said something. */
  #quietTicks = 0;
  #over = false;

  constructor(call: ForwardCall, request: UpstreamRequest, farewell: Farewell = {}) {
    this.#call = call;
    this.#request = request;
    this.#farewell = farewell;
    this.#startedAt = call.services.clock.monotonic();
    this.#entry = call.route.entry;
    this.#credential = call.credential as Credential;
    this.#retriesLeft = request.safeToResend ? (this.#entry.forwarding.retry?.attempts ?? 0) : 0;
  }

  /** Sends the request; its body follows from the client if it is to be streamed. */
  start(): void {
    const { exchange, services, admission } = this.#call;
    services.streams.calls.begin(this, admission.table);
    exchange.onClientGone(() => this.#clientGone());
    this.#send(this.#request);
    if (this.#request.streamed !== undefined) exchange.bodyTo(this);
  }

  onBodyData(chunk: Buffer): boolean {
    this.#call.requestBytes += chunk.length;
    return this.#upstream?.write(chunk) ?? true;
  }

  onBodyEnd(trailers?: readonly string[]): void {
    this.#upstream?.endBody(trailers);
  }

  onWritable(): void {
    this.#call.exchange.resumeBody();
  }

  onHead(head: UpstreamHead): void {
    if (this.#over) return;
    if (this.#retriesLeft > 0 && this.#entry.forwarding.retry?.codes.includes(head.status) === true) {
      this.#upstream?.abort();
      return this.#retry();
    }
    this.#head = head;
    if (this.#request.method !== 'HEAD' && lasts(head) && !this.#register(head)) return;
    const headers = clientHeaders(head, this.#entry.forwarding.responseHeaders);
    if (head.isWhole === true && this.#request.method !== 'HEAD') return this.#answerWhole(head, headers);
    this.#writer = this.#call.stream(head.status, headers, head.contentLength, this.#mayTrail(head));
    this.#writer.onDrain(() => this.#upstream?.resume());
  }

  onData(chunk: Buffer): void {
    if (this.#over || !this.#writer) return;
    this.#between = endsEvent(chunk);
    this.#quietTicks = 0;
    if (!this.#writer.write(chunk)) this.#upstream?.pause();
  }

  onTrailers(trailers: readonly string[]): void {
    this.#trailers = trailers;
  }

  onEnd(): void {
    if (this.#over) return;
    this.#finish();
    this.#writer?.end(undefined, this.#trailers);
    this.#call.end(this.#farewell.outcome?.(this.#head?.status ?? 0, this.#trailers) ?? '');
  }

  onError(error: UpstreamError): void {
    if (this.#over) return;
    if (this.#retriesLeft > 0 && !this.#head && hasNoAnswer(error)) return this.#retry();
    this.#finish();
    this.#breakOff(forwardRefusalOf(error));
  }

  onSwap(_previous: RoutingTable, next: RoutingTable): void {
    if (this.#over) return;
    const checked = recheckForwarded(this.#call, this.#entry, this.#credential, next);
    if (checked.ended) return this.#withdraw(checked.ended);
    this.#entry = checked.entry;
    this.#credential = checked.credential;
  }

  /** While nothing says that the answer lasts: one whose route or backend is gone runs on (docs/rfd/0012). */
  recheck(next: RoutingTable): void {
    if (this.#over) return;
    const checked = recheckForwarded(this.#call, this.#entry, this.#credential, next);
    if (checked.ended === forwardRefusals.permissionWithdrawn) this.#withdraw(checked.ended);
    if (checked.ended) return;
    this.#entry = checked.entry;
    this.#credential = checked.credential;
  }

  /** A stream of events may end anywhere, and its client comes back, to another node; other answers run on. */
  onDrain(): void {
    if (this.#over || !this.#head || !isEventStream(this.#head)) return;
    this.#upstream?.abort();
    this.#finish();
    this.#writer?.end();
    this.#call.end(endings.drained);
  }

  /** Ends the answer to an expired credential; keeps a quiet stream of an agent alive, unless its client is only slow. */
  onTick(): void {
    if (this.#credential.expiresAt <= this.#call.services.clock.now()) {
      return this.#withdraw(forwardRefusals.credentialExpired);
    }
    this.#quietTicks += 1;
    if (this.#quietTicks < ticksToKeepAlive || !this.#mayAddComments) return;
    this.#quietTicks = 0;
    this.#writer?.write(sseHeartbeat);
  }

  /** The bytes of an HTTP service are its own; those of an agent are events, if they are not compressed. */
  get #mayAddComments(): boolean {
    const head = this.#head;
    if (this.#entry.kind !== 'a2a' || !head || !isEventStream(head) || !this.#between) return false;
    return head.header('content-encoding') === undefined && this.#writer?.bufferedBytes === 0;
  }

  #send(request: UpstreamRequest): void {
    this.#upstream = this.#call.services.upstream.dispatch(request, this);
  }

  /** All tries together have the time of one request. */
  #retry(): void {
    this.#retriesLeft -= 1;
    const { timeouts } = this.#request;
    const totalMs = timeouts.totalMs - (this.#call.services.clock.monotonic() - this.#startedAt);
    if (totalMs <= 0) {
      this.#finish();
      return this.#call.abandon(forwardRefusals.upstreamTimeout);
    }
    this.#send({ ...this.#request, timeouts: { ...timeouts, totalMs } });
  }

  /** Keeps an eye on an answer that may last. @returns false when the node has too many of them. */
  #register(head: UpstreamHead): boolean {
    const { streams, keepAlive } = this.#call.services;
    streams.calls.end(this);
    this.#registration = streams.add(this, this.#call.admission.table);
    if (!this.#registration) {
      this.#upstream?.abort();
      this.#finish();
      this.#call.refuse(forwardRefusals.tooManyStreams);
      return false;
    }
    keepAlive.add(this);
    if (isEventStream(head)) this.#upstream?.detach();
    return true;
  }

  #withdraw(refusal: ForwardRefusal): void {
    if (this.#over) return;
    const words = this.#head && this.#between ? this.#farewell.words?.(refusal, this.#head) : undefined;
    this.#upstream?.abort();
    this.#finish();
    if (words === undefined) return this.#breakOff(refusal);
    this.#writer?.end(words);
    this.#call.end(refusal.name);
  }

  /** An answer that has begun and cannot be completed. */
  #breakOff(refusal: ForwardRefusal): void {
    const trailers = this.#farewell.trailers?.(refusal);
    if (!this.#writer || !trailers) return this.#call.abandon(refusal);
    this.#writer.end(undefined, trailers);
    this.#call.end(refusal.name);
  }

  /** The head was all there is: its client is to see that, too. */
  #answerWhole(head: UpstreamHead, headers: readonly string[]): void {
    this.#finish();
    const error = this.#farewell.outcome?.(head.status, head.entries());
    this.#call.respond(head.status, headers, undefined, error);
  }

  #mayTrail(head: UpstreamHead): boolean {
    if (!this.#call.exchange.takesTrailers) return false;
    return this.#farewell.trailers !== undefined || head.header('trailer') !== undefined;
  }

  #clientGone(): void {
    if (this.#over) return;
    this.#upstream?.abort();
    this.#finish();
    this.#call.end(endings.clientGone);
  }

  #finish(): void {
    this.#over = true;
    this.#call.services.streams.calls.end(this);
    if (!this.#registration) return;
    this.#registration[Symbol.dispose]();
    this.#registration = undefined;
    this.#call.services.keepAlive.remove(this);
  }
}

/** Answers up to this length are through before a change of policy could matter. */
const shortBytes = 65_536;

function lasts({ contentLength, status }: UpstreamHead): boolean {
  return status !== 204 && status !== 304 && (contentLength === undefined || contentLength > shortBytes);
}

export function isEventStream(head: UpstreamHead): boolean {
  return head.header('content-type')?.toLowerCase().startsWith('text/event-stream') === true;
}

function endsEvent(chunk: Buffer): boolean {
  const last = chunk.toString('latin1', Math.max(0, chunk.length - 4));
  return last.endsWith('\n\n') || last.endsWith('\r\n\r\n');
}

/** No answer has come, and none will: the request may be sent once more if repeating it does no harm. */
function hasNoAnswer({ code }: UpstreamError): boolean {
  return code === 'connect-failed' || code === 'connect-timeout' || code === 'head-timeout' || code === 'closed-early';
}
