import { Metrics } from '@signalbox/runtime';
import { describe, expect, it } from 'vitest';
import { mergeMetrics } from './merge-metrics.ts';

describe('metrics of several workers', () => {
  it('are one exposition: each metric once, with its series labelled by worker', () => {
    const text = (count: number) => {
      const metrics = new Metrics();
      metrics.counter('things_total', 'Things.').add(count);
      metrics.counter('kinds_total', 'Kinds.', { kind: 'a b' }).add();
      return metrics.expose();
    };
    const merged = mergeMetrics([
      { worker: undefined, text: '# HELP own Own.\n# TYPE own gauge\nown 2\n' },
      { worker: 0, text: text(1) },
      { worker: 1, text: text(5) },
    ]);
    expect(merged.split('\n')).toEqual([
      ...['# HELP own Own.', '# TYPE own gauge', 'own 2'],
      ...['# HELP things_total Things.', '# TYPE things_total counter'],
      ...['things_total{worker="0"} 1', 'things_total{worker="1"} 5'],
      ...['# HELP kinds_total Kinds.', '# TYPE kinds_total counter'],
      ...['kinds_total{worker="0",kind="a b"} 1', 'kinds_total{worker="1",kind="a b"} 1'],
      '# TYPE signalbox_metric_series_dropped_total counter',
      ...['signalbox_metric_series_dropped_total{worker="0"} 0', 'signalbox_metric_series_dropped_total{worker="1"} 0'],
      '',
    ]);
  });
});
