import type { Counter, Metrics } from '@signalbox/runtime';
import type { RefusedRequest } from './http-server.ts';
import { isServedMethod } from './request-gate.ts';

/** Counts what a codec turns away, and tells whoever records outcomes. */
export class RefusalCounter {
  readonly #metrics: Metrics;
  readonly #onRefused: (refused: RefusedRequest) => void;
  readonly #counters = new Map<number, Counter>();

  constructor(options: { readonly metrics: Metrics; readonly onRefused: (refused: RefusedRequest) => void }) {
    this.#metrics = options.metrics;
    this.#onRefused = options.onRefused;
  }

  /** A request never became an exchange. @param status 0 when it was not answered. */
  refused(status: number, method = ''): void {
    this.#onRefused({ method: isServedMethod(method) ? method : '', status });
    this.count(status);
  }

  /** Counts only: the request became an exchange, which has an outcome of its own. */
  count(status: number): void {
    let counter = this.#counters.get(status);
    if (!counter) {
      const help = 'Requests refused before anything else looked at them.';
      counter = this.#metrics.counter('signalbox_http_refused_total', help, { status: String(status) });
      this.#counters.set(status, counter);
    }
    counter.add();
  }
}
