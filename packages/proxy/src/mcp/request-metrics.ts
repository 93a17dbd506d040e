import type { OutcomeDecision } from '@signalbox/audit';
import type { Counter, Histogram, Metrics } from '@signalbox/runtime';
import type { Era } from './codec/codec.ts';

/** Counts requests as they end. Series are made once, so that a request costs no label text. */
export class RequestMetrics {
  readonly #metrics: Metrics;
  readonly #requests = new Map<string, Counter>();
  readonly #durations: Histogram;
  /** Upstream answers that nobody waited for, or that were not MCP. */
  readonly upstreamInvalid: Counter;
  /** Answers on the streams of upstreams to requests that those streams are not about. */
  readonly strayAnswers: Counter;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.#durations = metrics.histogram('signalbox_request_duration_seconds', 'From arrival to the last byte');
    this.upstreamInvalid = metrics.counter('signalbox_upstream_invalid_total', 'Upstream answers that were not MCP');
    const stray = 'Answers of upstreams on streams of other requests, dropped';
    this.strayAnswers = metrics.counter('signalbox_upstream_stray_answers_total', stray);
  }

  ended(era: Era | '', decision: OutcomeDecision, durationMs: number): void {
    this.#durations.observe(durationMs / 1000);
    const key = era + decision;
    const counter = this.#requests.get(key) ?? this.#add(key, era, decision);
    counter.add();
  }

  /** A request of another protocol has ended. */
  forwarded(protocol: string, decision: OutcomeDecision, durationMs: number): void {
    this.#durations.observe(durationMs / 1000);
    const key = `${protocol} ${decision}`;
    const help = 'Requests of other protocols than MCP that have ended';
    const known = this.#requests.get(key);
    const counter = known ?? this.#metrics.counter('signalbox_forwarded_requests_total', help, { protocol, decision });
    if (!known) this.#requests.set(key, counter);
    counter.add();
  }

  #add(key: string, era: Era | '', decision: OutcomeDecision): Counter {
    const help = 'Requests that have ended';
    const counter = this.#metrics.counter('signalbox_requests_total', help, { era: era || 'none', decision });
    this.#requests.set(key, counter);
    return counter;
  }
}
