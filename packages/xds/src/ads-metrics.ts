import type { Counter, Metrics } from '@signalbox/runtime';
import { statusCode, type StatusCode } from './stream-end.ts';

/** What a discovery server counts. */
export class AdsMetrics {
  readonly #responses: Counter;
  readonly #bytes: Counter;
  readonly #unknownTypes: Counter;
  readonly #heartbeats: Counter;
  readonly #deferred: Counter;
  readonly #ends: ReadonlyMap<StatusCode, Counter>;

  /** @param streamCount how many streams are open. */
  constructor(metrics: Metrics, streamCount: () => number) {
    this.#responses = metrics.counter('signalbox_discovery_responses_total', 'Discovery responses sent.');
    this.#bytes = metrics.counter('signalbox_discovery_response_bytes_total', 'Bytes of discovery responses sent.');
    this.#unknownTypes = metrics.counter(
      'signalbox_discovery_unknown_types_total',
      'Requests for a type that is not served.',
    );
    this.#heartbeats = metrics.counter(
      'signalbox_discovery_heartbeats_total',
      'Responses that only renewed what clients have.',
    );
    this.#deferred = metrics.counter(
      'signalbox_discovery_deferred_streams_total',
      'Streams that were asked to come back later because too many came at once.',
    );
    const endCounter = (status: string) =>
      metrics.counter('signalbox_discovery_stream_ends_total', 'Streams that the server refused or ended, by status.', {
        status,
      });
    this.#ends = new Map(Object.entries(statusCode).map(([status, code]) => [code, endCounter(status)]));
    const streams = metrics.gauge('signalbox_discovery_streams', 'Discovery streams that are open.');
    metrics.onCollect(() => streams.set(streamCount()));
  }

  sent(bytes: number): void {
    this.#responses.add();
    this.#bytes.add(bytes);
  }

  renewed(): void {
    this.#heartbeats.add();
  }

  deferred(): void {
    this.#deferred.add();
  }

  askedForUnknownType(): void {
    this.#unknownTypes.add();
  }

  ended(code: StatusCode): void {
    this.#ends.get(code)?.add();
  }
}
