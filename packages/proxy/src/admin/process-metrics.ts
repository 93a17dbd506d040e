import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from '@signalbox/runtime';
import type { CurrentTable } from '../table/current-table.ts';
import type { OpenStreams } from '../table/open-streams.ts';

/** What a process shows about itself: memory, how long its event loop was held up, what is open. */
export function observeProcess(metrics: Metrics, current: CurrentTable, streams: OpenStreams): Disposable {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const heap = metrics.gauge('signalbox_process_heap_bytes', 'JavaScript heap in use.');
  const resident = metrics.gauge('signalbox_process_resident_bytes', 'Resident memory.');
  const longest = metrics.gauge(
    'signalbox_process_event_loop_delay_max_seconds',
    'Longest delay of the event loop since the last reading.',
  );
  const open = metrics.gauge('signalbox_proxy_streams_open', 'Open streams.');
  const superseded = metrics.gauge('signalbox_proxy_tables_superseded', 'Superseded tables that requests still hold.');
  metrics.onCollect(() => {
    const { heapUsed, rss } = process.memoryUsage();
    heap.set(heapUsed);
    resident.set(rss);
    longest.set(delay.max / 1e9);
    delay.reset();
    open.set(streams.size);
    superseded.set(current.superseded);
  });
  return { [Symbol.dispose]: () => delay.disable() };
}
