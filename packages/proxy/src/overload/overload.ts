import type { Clock, Counter, Metrics } from '@signalbox/runtime';
import type { Exchange } from '../http/exchange.ts';
import type { RefusedRequest } from '../http/http-server.ts';
import { errorMessage, refusals } from '../mcp/errors.ts';

/** Times in milliseconds. */
export interface OverloadLimits {
  readonly checkMs: number;
  readonly delayMs: number;
  /** From 0 to 1. */
  readonly memoryShare: number;
  readonly calls: number;
  readonly holdMs: number;
  readonly held: number;
}

export interface OverloadOptions {
  readonly limits: OverloadLimits;
  /** Memory in use, from 0 to 1. Asked once in `checkMs`. */
  readonly memoryShare: () => number;
  /** Calls back when the present turn of the event loop has done its work. */
  readonly onTurnEnd: (callback: () => void) => void;
  /** Requests under way, beside open streams. */
  readonly openCalls: () => number;
  /** Records a request that was refused. */
  readonly onRefused: (refused: RefusedRequest) => void;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

interface Held {
  readonly exchange: Exchange;
  readonly since: number;
}

type Reason = 'delay' | 'memory' | 'calls';

/** What a check without pressure adds to the share: all are let in again after ten. */
const recovery = 0.1;

/**
 * Lets in as many new requests as the node can serve in time.
 *
 * 1. A turn of the event loop begins with what is ready. A request that is looked at when the turn has gone on for longer
 *    than the bound has waited for as long, and what comes behind it would wait longer: it is refused. So the loop is
 *    never idle while somebody waits, turns stay short, and all are let in again with the first short one.
 * 2. While memory is short the share of requests that are let in is halved with each check; then it rises again.
 * 3. Requests under way have a bound.
 *
 * Requests that are under way and open streams are not touched, nor is the admin port; a request that ends a session or
 * goes on with a stream always comes in.
 *
 * Refusing costs, too: a 503 that is sent at once lets its client send the next request at once. So it waits for a while,
 * during which its connection asks for nothing; that bounds what refusals cost by the number of connections.
 */
export class Overload {
  readonly #options: OverloadOptions;
  readonly #refused: Readonly<Record<Reason, Counter>>;
  readonly #held: Held[] = [];
  #share = 1;
  /** What is left of the share for the next request: each that is let in takes 1. */
  #credit = 0;
  /** Requests under way at the last count, and how many were let in since. */
  #counted = 0;
  #admitted = 0;
  #checks: Disposable | undefined;
  /** When the first request of this turn was looked at; undefined: none was. */
  #turnBegan: number | undefined;
  readonly #turnEnded = (): void => {
    this.#turnBegan = undefined;
  };

  constructor(options: OverloadOptions) {
    this.#options = options;
    const { metrics } = options;
    const help = 'Requests refused because the node was overloaded, by what was short.';
    const counter = (reason: Reason) => metrics.counter('signalbox_proxy_overload_refused_total', help, { reason });
    this.#refused = { delay: counter('delay'), memory: counter('memory'), calls: counter('calls') };
    const share = metrics.gauge('signalbox_proxy_overload_share', 'Share of new requests that memory allows; 1: all.');
    const open = metrics.gauge('signalbox_proxy_calls_open', 'Requests under way, beside open streams.');
    metrics.onCollect(() => {
      share.set(this.#share);
      open.set(options.openCalls());
    });
  }

  start(): void {
    const { clock, limits } = this.#options;
    this.#checks = clock.interval(limits.checkMs, () => this.#check());
  }

  /** Answers what waits. */
  stop(): void {
    this.#checks?.[Symbol.dispose]();
    this.#answerHeld(Infinity);
  }

  /** Whether a request may come in. One that may not is answered here. */
  admits(exchange: Exchange): boolean {
    const reason = this.#shortOf();
    if (reason === undefined) {
      this.#admitted += 1;
      return true;
    }
    if (frees(exchange)) return true;
    this.#refuse(exchange, reason);
    return false;
  }

  #shortOf(): Reason | undefined {
    const { limits, openCalls } = this.#options;
    if (this.#counted + this.#admitted >= limits.calls) {
      this.#counted = openCalls();
      this.#admitted = 0;
      // The request that is judged is one of them.
      if (this.#counted > limits.calls) return 'calls';
    }
    if (this.#isLate()) return 'delay';
    if (this.#share >= 1) return undefined;
    this.#credit += this.#share;
    if (this.#credit < 1) return 'memory';
    this.#credit -= 1;
    return undefined;
  }

  #isLate(): boolean {
    const { clock, limits, onTurnEnd } = this.#options;
    const now = clock.monotonic();
    if (this.#turnBegan === undefined) {
      this.#turnBegan = now;
      onTurnEnd(this.#turnEnded);
    }
    return now - this.#turnBegan > limits.delayMs;
  }

  #check(): void {
    const { memoryShare, limits, clock } = this.#options;
    this.#share = memoryShare() > limits.memoryShare ? this.#share / 2 : Math.min(1, this.#share + recovery);
    this.#answerHeld(clock.monotonic() - limits.holdMs);
  }

  #refuse(exchange: Exchange, reason: Reason): void {
    const { limits, clock } = this.#options;
    this.#refused[reason].add();
    if (this.#held.length >= limits.held || limits.holdMs === 0) this.#answer(exchange);
    else this.#held.push({ exchange, since: clock.monotonic() });
  }

  #answerHeld(before: number): void {
    const due = this.#held.findIndex(({ since }) => since > before);
    for (const { exchange } of this.#held.splice(0, due < 0 ? this.#held.length : due)) this.#answer(exchange);
  }

  #answer(exchange: Exchange): void {
    const { status, name } = refusals.overloaded;
    const { method } = exchange.head;
    this.#options.onRefused({ method, status: exchange.closed ? 0 : status, error: name });
    exchange.respond(status, answerHeaders, body);
  }
}

const body = errorMessage('null', refusals.overloaded);
const answerHeaders = ['Content-Type', 'application/json', 'Retry-After', '1'];

/** It ends a session, or goes on with a stream that broke: refusing it would free nothing, or cut what was open. */
function frees({ head }: Exchange): boolean {
  return head.method === 'DELETE' || (head.method === 'GET' && head.header('last-event-id') !== undefined);
}
