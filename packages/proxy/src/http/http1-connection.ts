import type { Socket } from 'node:net';
import type { AnswerHeads } from './answer-head.ts';
import type { HeaderField } from './field.ts';
import { GatedHead } from './gated-head.ts';
import { type ExchangeConnection, Http1Exchange } from './http1-exchange.ts';
import { asksToClose, RequestHeads } from './http1-request-head.ts';
import type { HttpServerLimits, JudgeHost, Refusal } from './http-server.ts';
import type { OpenExchanges } from './open-exchange.ts';
import type { RefusalCounter } from './refusal-counter.ts';
import { type BodyLength, type MessageFault, MessageReader, type MessageSink } from './message-reader.ts';
import { type PassedHead, passGate, servedMethods } from './request-gate.ts';
import type { TickLimits } from './tick-limits.ts';

/** What a connection shares with the others of its listener. */
export interface ConnectionOwner {
  readonly limits: HttpServerLimits;
  readonly heads: AnswerHeads;
  readonly judgeHost: JudgeHost;
  readonly refusals: RefusalCounter;
  /** Counts the checks of timeouts. */
  readonly tick: number;
  /** Answers close their connection from now on. */
  readonly draining: boolean;
  readonly exchanges: OpenExchanges;
  /** The connection is gone. */
  closed(connection: Http1Connection): void;
}

/**
 * One connection of a client and at most one exchange on it.
 *
 * 1. A request that is complete in what was read is handed on with its body, in the same turn.
 * 2. What is not HTTP, or does not pass the gate, gets a fixed answer and ends the connection. While an answer is under
 *    way it gets none: the connection is destroyed, since the client could take one for the other.
 * 3. A request sent before the last answer was complete is dropped with the connection, once that answer is out
 *    (RFC 9112 §9.3.2 lets clients repeat it).
 */
export class Http1Connection implements MessageSink, ExchangeConnection {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #reader: MessageReader;
  readonly #heads = new RequestHeads();
  readonly #onFlushed: (error?: Error | null) => void;
  #exchange: Http1Exchange | undefined;
  /** The exchange was not yet handed on: its body may be in what is being read. */
  #isFresh = false;
  /** A request began in what is being read. */
  #begunInRead = false;
  /** The connection ends with the answer under way. */
  #isLast = false;
  /** The request has been answered, and what is left of its body is read and forgotten. */
  #isDiscarding = false;
  /** Nothing is read any more; the last words are on their way. */
  #isEnding = false;
  #requests = 0;
  /** Tick at which what is waited for now began. */
  #since: number;

  constructor(owner: ConnectionOwner, socket: Socket) {
    this.#owner = owner;
    this.#socket = socket;
    this.#since = owner.tick;
    this.#reader = new MessageReader(this, owner.limits.maxHeaderBytes);
    this.#onFlushed = (error) => {
      if (!error) this.#finish();
    };
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('drain', () => this.#exchange?.drained());
    socket.on('end', () => this.#onEnd());
    socket.on('error', ignore);
    socket.on('close', () => this.#onClose());
  }

  /** No request is under way, not even a part of one. */
  get idle(): boolean {
    return this.#exchange === undefined && this.#reader.idle;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Called by the sweep: ends what has waited for too long. Answers under way are looked at by `Http1Exchange.isStalled`. */
  checkTime(limits: TickLimits): void {
    const waited = this.#owner.tick - this.#since;
    if (waited > 1) {
      this.#heads.forget();
      this.#exchange?.head.compact();
    }
    if (this.#isEnding) {
      if (waited > limits.ending) this.destroy();
    } else if (this.#reader.inBody) {
      if (waited > limits.request && this.#exchange?.passesBodyOn !== true) this.#timedOut();
    } else if (this.#exchange === undefined) {
      if (!this.#reader.idle) {
        if (waited > limits.head) this.#timedOut();
      } else if (waited > (this.#requests === 0 ? limits.head : limits.keepAlive)) {
        this.destroy();
      }
    }
  }

  onHead(text: string): BodyLength | undefined {
    const parsed = this.#heads.parse(text);
    if (parsed.refusal) return this.#stopAt(parsed.refusal);
    if (this.#exchange !== undefined || this.#begunInRead) return this.#refusePipelined();
    const { request } = parsed;
    const { limits, judgeHost } = this.#owner;
    const passed = passGate(request, limits);
    if (passed.refusal) return this.#refuse(passed.refusal, request.method);
    const head = new GatedHead(request.method, passed.head, this.#socket);
    const refusal = judgeHost(head);
    if (refusal) return this.#refuse(refusal, request.method);
    this.#requests += 1;
    this.#isLast = wantsClose(passed.head) || this.#requests >= limits.maxRequestsPerConnection;
    this.#exchange = new Http1Exchange(this, head, passed.head);
    this.#isFresh = true;
    this.#begunInRead = true;
    return passed.head.contentLength ?? 'chunked';
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#exchange?.bodyPiece(bytes, start, end);
  }

  onComplete(): void {
    const exchange = this.#exchange;
    if (!exchange) {
      this.#isDiscarding = false;
      this.#since = this.#owner.tick;
      return;
    }
    exchange.bodyEnd();
    if (this.#isFresh) this.#begin(exchange);
  }

  onFault(fault: MessageFault): void {
    this.#onProblem(faults[fault]);
  }

  answerHead(status: number, headers: readonly string[], last: boolean): string {
    if (last || this.#owner.draining) this.#isLast = true;
    return this.#owner.heads.head(status, headers, this.#isLast);
  }

  send(before: string, body: Buffer | string | undefined, after = ''): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    if (body === undefined || body.length === 0) {
      socket.write(before + after, 'latin1');
    } else if (typeof body === 'string' && Buffer.byteLength(body) === body.length) {
      socket.write(before + body + after, 'latin1');
    } else {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body;
      if (bytes.length <= joinedBytes) {
        socket.write(before + bytes.toString('latin1') + after, 'latin1');
        return;
      }
      socket.cork();
      if (before !== '') socket.write(before, 'latin1');
      socket.write(bytes);
      if (after !== '') socket.write(after, 'latin1');
      socket.uncork();
    }
  }

  sendContinue(): void {
    this.send('HTTP/1.1 100 Continue\r\n\r\n', undefined);
  }

  answerComplete(exchange: Http1Exchange): void {
    if (this.#exchange !== exchange) return;
    if (this.#socket.writableLength === 0) this.#finish();
    else this.#socket.write(noBytes, this.#onFlushed);
  }

  breakOff(): void {
    this.destroy();
  }

  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  get needsDrain(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  #read(bytes: Buffer): void {
    if (this.#isEnding) return;
    if (this.#reader.idle && this.#exchange === undefined) this.#since = this.#owner.tick;
    this.#begunInRead = false;
    this.#reader.push(bytes);
    if (this.#isFresh && this.#exchange) this.#begin(this.#exchange);
  }

  #begin(exchange: Http1Exchange): void {
    this.#isFresh = false;
    this.#owner.exchanges.begin(exchange);
  }

  /** The answer has left as a whole. */
  #finish(): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#exchange = undefined;
    this.#owner.exchanges.finished(exchange);
    exchange.over(true);
    this.#isDiscarding = this.#reader.inBody;
    if (this.#isLast) this.#end();
    else if (!this.#isDiscarding) this.#since = this.#owner.tick;
  }

  /** What was read is not HTTP, or exceeds a bound; the reader has stopped. */
  #onProblem(problem: Refusal): void {
    const exchange = this.#exchange;
    if (this.#isDiscarding) return this.destroy();
    if (!exchange || this.#isFresh) return this.#sayRefusal(problem, '');
    // An answer under way, or a request that was read whole, is not to be mixed up with what came behind it.
    if (exchange.answered || exchange.bodyComplete || !this.#socket.writable) return this.destroy();
    this.#endUnanswered(exchange, problem);
  }

  #stopAt(problem: Refusal): undefined {
    this.#reader.stop();
    this.#onProblem(problem);
  }

  #refuse(refusal: Refusal, method: string): undefined {
    this.#reader.stop();
    this.#sayRefusal(refusal, method);
  }

  #refusePipelined(): undefined {
    this.#reader.stop();
    this.#owner.refusals.refused(0);
    this.#isLast = true;
    if (!this.#exchange) this.#end();
  }

  /** Answers a request that is no exchange, and ends the connection. */
  #sayRefusal(refusal: Refusal, method: string): void {
    const fresh = this.#exchange;
    this.#exchange = undefined;
    this.#isFresh = false;
    fresh?.over(true);
    this.#owner.refusals.refused(refusal.status, method);
    this.#lastWords(refusal, method);
  }

  /** The exchange goes without an answer of its own; its client gets ours. */
  #endUnanswered(exchange: Http1Exchange, refusal: Refusal): void {
    this.#owner.refusals.count(refusal.status);
    this.#drop(exchange);
    this.#lastWords(refusal, exchange.head.method);
  }

  #lastWords({ status, reason }: Refusal, method: string): void {
    const body = `${reason}\n`;
    const headers = ['Content-Type', 'text/plain', 'Content-Length', String(body.length)];
    if (status === 405) headers.push('Allow', servedMethods);
    this.send(`${this.#owner.heads.head(status, headers, true)}\r\n`, method === 'HEAD' ? undefined : body);
    this.#end();
  }

  /** The request has taken too long. */
  #timedOut(): void {
    const exchange = this.#exchange;
    const isOpen = exchange === undefined ? !this.#isDiscarding : !exchange.answered;
    this.#reader.stop();
    if (!isOpen) return this.destroy();
    if (exchange) this.#endUnanswered(exchange, tooSlow);
    else this.#sayRefusal(tooSlow, '');
  }

  /** Ends the connection when what was written has left. */
  #end(): void {
    this.#isEnding = true;
    this.#since = this.#owner.tick;
    this.#reader.stop();
    this.#socket.destroySoon();
  }

  /** The client sends nothing more. Like node:http, takes it for gone; an answer that is complete still reaches it. */
  #onEnd(): void {
    if (this.#isEnding) return;
    const exchange = this.#exchange;
    const inHead = !this.#reader.inBody && !this.#reader.idle;
    if (exchange === undefined && inHead) return this.#sayRefusal(cutShort, '');
    if (exchange && this.#reader.inBody && !exchange.answered) return this.#endUnanswered(exchange, cutShort);
    if (exchange && !exchange.closed) this.#drop(exchange);
    this.#end();
  }

  #onClose(): void {
    this.#reader.stop();
    const exchange = this.#exchange;
    if (exchange) this.#drop(exchange);
    this.#owner.closed(this);
  }

  #drop(exchange: Http1Exchange): void {
    this.#exchange = undefined;
    this.#owner.exchanges.finished(exchange);
    exchange.over(false);
  }
}

/** Bodies up to this size travel in one piece with their head. */
const joinedBytes = 12_288;
const noBytes = Buffer.alloc(0);
const tooSlow: Refusal = { status: 408, reason: 'the request took too long' };
const faults: Readonly<Record<MessageFault, Refusal>> = {
  'head-too-large': { status: 431, reason: 'the head is too large' },
  'head-malformed': { status: 400, reason: 'the head has a bare line break or a control character' },
  'chunks-malformed': { status: 400, reason: 'the chunked body is malformed' },
};
const cutShort: Refusal = { status: 400, reason: 'the request is cut short' };

function wantsClose({ fields }: PassedHead): boolean {
  for (let i = 0; i < fields.length; i += 1) {
    const { name, value } = fields[i] as HeaderField;
    if ((name === 'connection' || name === 'proxy-connection') && asksToClose(value)) return true;
  }
  return false;
}

function ignore(): void {}
