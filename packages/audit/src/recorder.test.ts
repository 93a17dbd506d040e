import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { createRecorder, type RecorderOptions } from './recorder.ts';
import { MemorySink } from './testing/memory-sink.ts';
import { sampleOutcome } from './testing/outcome.ts';

function setUp(changes: Partial<RecorderOptions> = {}) {
  const clock = new ManualClock();
  const logger = new MemoryLogger();
  const metrics = new Metrics();
  const sink = new MemorySink();
  const recorder = createRecorder({
    sink,
    clock,
    logger,
    metrics,
    maxQueued: 10,
    batchSize: 4,
    flushMs: 100,
    ...changes,
  });
  const record = (from: number, to: number) => {
    for (let id = from; id <= to; id += 1) recorder.record(sampleOutcome({ id: String(id) }));
  };
  const ids = () => sink.events.map((event) => Number(event.id));
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics.expose())?.[1]);
  return { clock, logger, sink, recorder, record, ids, value };
}

const never = () => new AbortController().signal;

describe('a recorder', () => {
  it('writes few events together after the flush time, and not before', async () => {
    const { clock, record, ids, sink } = setUp();
    record(1, 3);
    await clock.advance(99);
    expect(ids()).toEqual([]);
    await clock.advance(1);
    expect(ids()).toEqual([1, 2, 3]);
    expect(sink.batches).toEqual([3]);
  });

  it('writes full batches at once, in order, but never while recording', async () => {
    const { clock, record, ids, sink } = setUp();
    record(1, 8);
    expect(ids()).toEqual([]);
    await clock.advance(0);
    expect(ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(sink.batches).toEqual([4, 4]);
  });

  it('lets what is left behind a full batch wait for others, no longer than the flush time', async () => {
    const { clock, record, ids, sink } = setUp();
    record(1, 5);
    await clock.advance(0);
    expect(ids()).toEqual([1, 2, 3, 4]);
    record(6, 7);
    await clock.advance(99);
    expect(sink.batches).toEqual([4]);
    await clock.advance(1);
    expect(ids()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(sink.batches).toEqual([4, 3]);
  });

  it('keeps a batch that the sink refuses and tries again, saying so once', async () => {
    const { clock, record, ids, sink, logger } = setUp();
    sink.failNext(3);
    record(1, 2);
    await clock.advance(100);
    record(3, 3);
    await clock.advance(5_000);
    expect(ids()).toEqual([1, 2, 3]);
    expect(logger.lines.filter((line) => line.level === 'error')).toHaveLength(1);
  });

  it('loses and counts what does not fit while the sink stands still', async () => {
    const { clock, record, ids, sink, logger, value } = setUp();
    sink.hold();
    record(1, 4);
    await clock.advance(0);
    record(5, 13);
    expect(value('signalbox_audit_events_lost_total')).toBe(3);
    expect(value('signalbox_audit_events_queued')).toBe(10);
    sink.release();
    await clock.advance(0);
    await clock.advance(100);
    expect(ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const said = logger.lines.map((line) => line.fields['count']);
    expect(said.reduce((sum: number, count) => sum + Number(count), 0)).toBe(3);
    record(14, 14);
    await clock.advance(100);
    expect(ids().at(-1)).toBe(14);
  });

  it('says that events are lost at most once in ten seconds', async () => {
    const { clock, record, sink, logger } = setUp();
    sink.hold();
    record(1, 1_000);
    expect(logger.lines).toHaveLength(1);
    await clock.advance(10_000);
    record(1, 1_000);
    expect(logger.lines).toHaveLength(2);
    expect(logger.lines[1]?.fields['count']).toBe(990);
  });

  it('writes everything and closes the sink when it is closed', async () => {
    const { recorder, record, ids, sink } = setUp();
    record(1, 9);
    await recorder.close(never());
    expect(ids()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(sink.closed).toBe(true);
  });

  it('waits for a write that is under way when it is closed', async () => {
    const { clock, recorder, record, ids, sink } = setUp();
    sink.hold();
    record(1, 4);
    await clock.advance(0);
    record(5, 5);
    const closed = recorder.close(never());
    sink.release();
    await closed;
    expect(ids()).toEqual([1, 2, 3, 4, 5]);
  });

  it('gives up at the deadline, and counts what was left', async () => {
    const { clock, recorder, record, sink, value } = setUp();
    sink.hold();
    record(1, 6);
    await clock.advance(0);
    const deadline = new AbortController();
    const closed = recorder.close(deadline.signal);
    deadline.abort();
    await closed;
    expect(value('signalbox_audit_events_lost_total')).toBe(6);
  });

  it('counts what comes after it was closed', async () => {
    const { recorder, record, value } = setUp();
    await recorder.close(never());
    record(1, 2);
    expect(value('signalbox_audit_events_lost_total')).toBe(2);
  });
});
