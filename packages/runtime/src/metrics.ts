/**
 * Counters, gauges and histograms, exposed as Prometheus text. Small and allocation-free on the way in, since requests
 * pass through it. Label values must come from bounded sets: a metric refuses new series beyond its bound and counts
 * them in `signalbox_metric_series_dropped_total` instead of growing.
 */
export interface Counter {
  add(amount?: number): void;
}

export interface Gauge {
  set(value: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

type Labels = Readonly<Record<string, string>>;
type Kind = 'counter' | 'gauge' | 'histogram';

interface Series {
  readonly labels: string;
  value: number;
  readonly buckets: Float64Array | undefined;
  sum: number;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly kind: Kind;
  readonly bounds: readonly number[];
  readonly series: Map<string, Series>;
}

const secondsBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export class Metrics {
  readonly #metrics = new Map<string, Metric>();
  readonly #collectors: (() => void)[] = [];
  readonly #maxSeries: number;
  #dropped = 0;

  /** @param maxSeries bound on label combinations of one metric. */
  constructor(maxSeries = 1_000) {
    this.#maxSeries = maxSeries;
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    const series = this.#series({ name, help, kind: 'counter', bounds: [] }, labels);
    return { add: (amount = 1) => void (series.value += amount) };
  }

  gauge(name: string, help: string, labels: Labels = {}): Gauge {
    const series = this.#series({ name, help, kind: 'gauge', bounds: [] }, labels);
    return { set: (value) => void (series.value = value) };
  }

  /** A histogram in seconds unless other bucket bounds are given (ascending). */
  histogram(name: string, help: string, labels: Labels = {}, bounds: readonly number[] = secondsBounds): Histogram {
    const series = this.#series({ name, help, kind: 'histogram', bounds }, labels);
    return {
      observe: (value) => {
        series.value += 1;
        series.sum += value;
        const { buckets } = series;
        for (let i = bounds.length - 1; buckets && i >= 0 && value <= (bounds[i] as number); i -= 1) {
          buckets[i] = (buckets[i] as number) + 1;
        }
      },
    };
  }

  /** Calls back before each exposition, for gauges that are cheaper to read than to keep. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** Everything, in Prometheus text format 0.0.4. */
  expose(): string {
    for (const collect of this.#collectors) collect();
    const lines: string[] = [];
    for (const metric of this.#metrics.values()) {
      lines.push(`# HELP ${metric.name} ${metric.help}`, `# TYPE ${metric.name} ${metric.kind}`);
      for (const series of metric.series.values()) {
        if (metric.kind === 'histogram') exposeHistogram(metric, series, lines);
        else lines.push(`${metric.name}${series.labels === '' ? '' : `{${series.labels}}`} ${series.value}`);
      }
    }
    lines.push('# TYPE signalbox_metric_series_dropped_total counter');
    lines.push(`signalbox_metric_series_dropped_total ${this.#dropped}`, '');
    return lines.join('\n');
  }

  #series(declared: Omit<Metric, 'series'>, labels: Labels): Series {
    let metric = this.#metrics.get(declared.name);
    if (!metric) {
      metric = { ...declared, series: new Map() };
      this.#metrics.set(declared.name, metric);
    }
    const key = Object.entries(labels)
      .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
      .join(',');
    let series = metric.series.get(key);
    if (!series) {
      const buckets = metric.kind === 'histogram' ? new Float64Array(metric.bounds.length) : undefined;
      series = { labels: key, value: 0, buckets, sum: 0 };
      if (metric.series.size < this.#maxSeries) metric.series.set(key, series);
      else this.#dropped += 1;
    }
    return series;
  }
}

function exposeHistogram(metric: Metric, series: Series, lines: string[]): void {
  const prefix = series.labels === '' ? '' : `${series.labels},`;
  const suffix = series.labels === '' ? '' : `{${series.labels}}`;
  metric.bounds.forEach((bound, i) => {
    lines.push(`${metric.name}_bucket{${prefix}le="${bound}"} ${series.buckets?.[i] ?? 0}`);
  });
  lines.push(`${metric.name}_bucket{${prefix}le="+Inf"} ${series.value}`);
  lines.push(`${metric.name}_sum${suffix} ${series.sum}`, `${metric.name}_count${suffix} ${series.value}`);
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
