import { constants, type ServerHttp2Stream } from 'node:http2';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { GatheredAnswer } from '../testing/gathered-answer.ts';
import { Http2Backend } from '../testing/http2-backend.ts';
import { defaultHttp2ClientLimits, Http2Client } from './http2-client.ts';

const requests = 60;
const terminal = new Set(['end', 'closed-early', 'protocol', 'head-timeout', 'idle-timeout', 'connect-failed']);

/** What a backend does with a stream, one of these at random. */
const behaviours: readonly ((stream: ServerHttp2Stream) => void)[] = [
  (stream) => answer(stream, 'x'.repeat(10)),
  (stream) => answer(stream, 'x'.repeat(400_000)),
  (stream) => stream.resume().respond({ ':status': 204 }, { endStream: true }),
  (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
  (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
  (stream) => stream.session?.goaway(constants.NGHTTP2_NO_ERROR, stream.id),
  (stream) => stream.session?.goaway(constants.NGHTTP2_NO_ERROR, Math.max(0, (stream.id ?? 0) - 2)),
  (stream) => stream.session?.destroy(),
  (stream) => stream.resume().respond({ ':status': 200 }),
  () => undefined,
];

/** Of these, those that leave a request without an end: it has to time out. */
const silent: ReadonlySet<number> = new Set([5, 8, 9]);

function answer(stream: ServerHttp2Stream, body: string): void {
  stream.resume().respond({ ':status': 200 });
  stream.end(body);
}

describe('whatever a backend does with its streams and connections', () => {
  it.each([1, 2, 3, 4])('every request ends once, and no stream is left (seed %i)', async (seed) => {
    const random = new SeededRandom(seed);
    const pick = (count: number): number => random.bytes(1).readUInt8() % count;
    /** Whether a request was left without an end when it came last, by its path. */
    const done = new Map<string, boolean>();
    await using server = await Http2Backend.start((stream, headers) => {
      // Half of them are answered at once, so that not everything ends in a timeout.
      const behaviour = pick(2) === 0 ? 0 : pick(behaviours.length);
      // Node says of the first stream that it is the last one, whatever it is told to say.
      const isSilent = silent.has(behaviour) || (behaviour === 6 && stream.id === 1);
      done.set(String(headers[':path']), isSilent);
      behaviours[behaviour]?.(stream);
    });
    const clock = new ManualClock();
    const metrics = new Metrics();
    const limits = { ...defaultHttp2ClientLimits, maxStreams: 5, maxConnections: 4, maxRequestsPerConnection: 20 };
    const client = new Http2Client({ limits, clock, metrics });
    const answers: GatheredAnswer[] = [];
    const aborted = new Set<GatheredAnswer>();
    for (let i = 0; i < requests; i += 1) {
      const gathered = new GatheredAnswer();
      answers.push(gathered);
      gathered.exchange = client.dispatch(
        {
          ...{ origin: server.origin, poolKey: 'k', method: 'POST', target: `/${i}`, headers: [] },
          ...(pick(3) === 0 ? { body: undefined, streamed: 'chunked' as const } : { body: Buffer.from('body') }),
          safeToResend: pick(2) === 0,
          timeouts: { connectMs: 60_000, headMs: 2_000, idleMs: 2_000, totalMs: 30_000 },
        },
        gathered,
      );
      if (pick(2) === 0) gathered.exchange.write(Buffer.from('piece'));
      gathered.exchange.endBody();
      if (pick(5) === 0) gathered.exchange.pause();
      if (pick(6) === 0) {
        aborted.add(gathered);
        setImmediate(() => gathered.exchange?.abort());
      }
      if (pick(3) === 0) await new Promise((resolve) => void setImmediate(resolve));
    }
    const isOver = (gathered: GatheredAnswer): boolean => terminal.has(gathered.calls.at(-1) ?? '');
    for (let turns = 0; turns < 400 && answers.some((one) => !isOver(one) && !aborted.has(one)); turns += 1) {
      for (const { exchange } of answers) exchange?.resume();
      await clock.advance(100);
    }
    for (const [i, one] of answers.entries()) {
      const isTimedOut = one.calls.some((call) => call.endsWith('-timeout'));
      expect([i, isTimedOut && done.get(`/${i}`) !== true]).toEqual([i, false]);
      const ends = one.calls.filter((call) => terminal.has(call)).length;
      expect({ calls: one.calls, ends }).toEqual({ calls: one.calls, ends: aborted.has(one) && ends === 0 ? 0 : 1 });
      expect(one.calls.slice(0, -1).every((call) => call === 'head')).toBe(true);
    }
    expect(metrics.expose()).toMatch(/^signalbox_upstream_http2_streams 0$/m);
    client.close();
    expect(metrics.expose()).toMatch(/^signalbox_upstream_http2_connections 0$/m);
  });
});
