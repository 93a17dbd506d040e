import type { Counter, Gauge, Metrics } from '@signalbox/runtime';
import type { StreamInfo, StreamObserver } from '@signalbox/xds';
import type { ServedViews } from './node-admission.ts';

/** What subscribers are counted by: their family, and whether they get all of it. Both are of few values. */
interface Series {
  readonly usual: Gauge;
  readonly reduced: Gauge;
  readonly views: Gauge;
  readonly accepted: Counter;
  readonly refused: Counter;
}

/** Counts what proxies of others do on the discovery stream. Streams of our own nodes are none of its business. */
export class ExternalMetrics implements StreamObserver {
  readonly #views: readonly ServedViews[];
  readonly #series: ReadonlyMap<string, Series>;
  readonly #streams = new Map<number, StreamInfo>();

  constructor(views: readonly ServedViews[], metrics: Metrics) {
    this.#views = views;
    this.#series = new Map(views.map(({ family: { name } }) => [name, seriesOf(name, metrics)]));
    metrics.onCollect(() => this.#collect());
  }

  opened(stream: StreamInfo): void {
    if (this.#series.has(stream.family)) this.#streams.set(stream.id, stream);
  }

  closed({ id }: StreamInfo): void {
    this.#streams.delete(id);
  }

  acked({ family }: StreamInfo): void {
    this.#series.get(family)?.accepted.add();
  }

  nacked({ family }: StreamInfo): void {
    this.#series.get(family)?.refused.add();
  }

  heard(): void {}

  sent(): void {}

  #collect(): void {
    for (const { family, source } of this.#views) {
      const series = this.#series.get(family.name);
      const streams = [...this.#streams.values()].filter((stream) => stream.family === family.name);
      const reduced = streams.filter(({ node }) => source.variantOf(node) !== undefined).length;
      series?.usual.set(streams.length - reduced);
      series?.reduced.set(reduced);
      series?.views.set([...source.ids()].length);
    }
  }
}

function seriesOf(family: string, metrics: Metrics): Series {
  const streams = (form: string) =>
    metrics.gauge('signalbox_external_streams', 'Streams of proxies of others, by family and form of what they get.', {
      family,
      form,
    });
  const answers = (answer: string) =>
    metrics.counter('signalbox_external_rounds_total', 'Revisions that proxies of others accepted or refused.', {
      family,
      answer,
    });
  return {
    ...{ usual: streams('usual'), reduced: streams('reduced') },
    views: metrics.gauge('signalbox_external_views', 'Views that are kept for proxies of others, by family.', {
      family,
    }),
    ...{ accepted: answers('accepted'), refused: answers('refused') },
  };
}
