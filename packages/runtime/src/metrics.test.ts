import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.ts';

describe('Metrics', () => {
  it('exposes counters, gauges and cumulative histogram buckets as Prometheus text', () => {
    const metrics = new Metrics();
    metrics.counter('calls_total', 'Calls.', { era: 'legacy' }).add(2);
    metrics.gauge('streams', 'Open streams.').set(7);
    const seconds = metrics.histogram('seconds', 'Duration.', {}, [0.1, 1]);
    for (const value of [0.05, 0.5, 5]) seconds.observe(value);
    expect(metrics.expose()).toBe(
      `# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{era="legacy"} 2
# HELP streams Open streams.
# TYPE streams gauge
streams 7
# HELP seconds Duration.
# TYPE seconds histogram
seconds_bucket{le="0.1"} 1
seconds_bucket{le="1"} 2
seconds_bucket{le="+Inf"} 3
seconds_sum 5.55
seconds_count 3
# TYPE signalbox_metric_series_dropped_total counter
signalbox_metric_series_dropped_total 0
`,
    );
  });

  it('gives the same series to everyone who asks with the same labels', () => {
    const metrics = new Metrics();
    metrics.counter('c', 'C.', { a: 'x' }).add();
    metrics.counter('c', 'C.', { a: 'x' }).add();
    expect(metrics.expose()).toContain('c{a="x"} 2');
  });

  it('drops series beyond the bound and counts them', () => {
    const metrics = new Metrics(2);
    for (const name of ['a', 'b', 'c', 'd']) metrics.counter('c', 'C.', { name }).add();
    const exposed = metrics.expose();
    expect(exposed).not.toContain('name="c"');
    expect(exposed).toContain('signalbox_metric_series_dropped_total 2');
  });

  it('escapes label values', () => {
    const metrics = new Metrics();
    metrics.counter('c', 'C.', { name: 'a"b\\c\nd' }).add();
    expect(metrics.expose()).toContain('c{name="a\\"b\\\\c\\nd"} 1');
  });
});
