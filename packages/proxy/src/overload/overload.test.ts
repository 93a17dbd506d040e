import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import type { RefusedRequest } from '../http/http-server.ts';
import { FakeExchange, type FakeRequest } from '../testing/fake-exchange.ts';
import { Overload, type OverloadLimits } from './overload.ts';

const limits: OverloadLimits = { checkMs: 50, delayMs: 100, memoryShare: 0.9, calls: 1_000, holdMs: 250, held: 100 };

function fixture(more: Partial<OverloadLimits> = {}) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const state = { memoryShare: 0.5, calls: 0 };
  let endTurn: () => void = () => undefined;
  const refused: RefusedRequest[] = [];
  const overload = new Overload({
    limits: { ...limits, ...more },
    memoryShare: () => state.memoryShare,
    onTurnEnd: (callback) => void (endTurn = callback),
    openCalls: () => state.calls,
    onRefused: (each) => void refused.push(each),
    ...{ clock, metrics },
  });
  overload.start();
  const ask = (request: FakeRequest = { method: 'POST' }) => {
    const exchange = new FakeExchange(request);
    return { exchange, isIn: overload.admits(exchange) };
  };
  /** How many of a hundred are let in. */
  const percent = () => Array.from({ length: 100 }, () => ask().isIn).filter(Boolean).length;
  return { clock, metrics, state, refused, overload, ask, percent, endTurn: () => endTurn() };
}

describe('a node under load', () => {
  it('lets everybody in whose turn of the event loop is not late, and refuses who comes behind', async () => {
    const { clock, ask, metrics } = fixture();
    expect(ask().isIn).toBe(true);
    await clock.advance(100);
    expect(ask().isIn).toBe(true);
    await clock.advance(1);
    expect([ask().isIn, ask().isIn]).toEqual([false, false]);
    expect(metrics.expose()).toContain('signalbox_proxy_overload_refused_total{reason="delay"} 2');
  });

  it('lets everybody in again with the next turn', async () => {
    const { clock, ask, endTurn } = fixture();
    ask();
    await clock.advance(5_000);
    expect(ask().isIn).toBe(false);
    endTurn();
    expect(ask().isIn).toBe(true);
    await clock.advance(100);
    expect(ask().isIn).toBe(true);
  });

  it('lets fewer in when memory runs short, in the end nobody, and everybody again within half a second', async () => {
    const { clock, state, metrics, percent, endTurn } = fixture({ held: 1 });
    state.memoryShare = 0.95;
    await clock.advance(50);
    expect(percent()).toBe(50);
    await clock.advance(1_000);
    endTurn();
    expect(percent()).toBeLessThanOrEqual(1);
    state.memoryShare = 0.5;
    await clock.advance(500);
    endTurn();
    expect(percent()).toBe(100);
    expect(metrics.expose()).toMatch(/overload_refused_total\{reason="memory"\} 1\d\d/);
  });

  it('refuses what is beyond the bound of requests under way', () => {
    const { state, ask } = fixture({ calls: 3 });
    state.calls = 2;
    expect([ask().isIn, ask().isIn]).toEqual([true, true]);
    state.calls = 4;
    expect([ask().isIn, ask().isIn]).toEqual([true, false]);
    state.calls = 1;
    expect(ask().isIn).toBe(true);
  });

  it('lets in what ends a session or goes on with a stream, whatever there is', async () => {
    const { clock, state, ask } = fixture({ calls: 1 });
    Object.assign(state, { memoryShare: 1, calls: 5 });
    await clock.advance(5_000);
    expect(ask({ method: 'DELETE' }).isIn).toBe(true);
    expect(ask({ method: 'GET', headers: { 'last-event-id': '7' } }).isIn).toBe(true);
    expect(ask({ method: 'GET' }).isIn).toBe(false);
  });

  it('answers a refused request after a while, with the time to wait, and records it once', async () => {
    const { clock, state, refused, ask } = fixture({ calls: 1 });
    state.calls = 5;
    ask();
    const { exchange, isIn } = ask();
    expect([isIn, exchange.status]).toEqual([false, 0]);
    await clock.advance(200);
    expect(exchange.status).toBe(0);
    await clock.advance(100);
    expect([exchange.status, exchange.headers['retry-after']]).toEqual([503, '1']);
    expect(refused.at(-1)).toEqual({ method: 'POST', status: 503, error: 'overloaded' });
    await clock.advance(1_000);
    expect(exchange.answers).toBe(1);
  });

  it('answers at once when too many wait, and all that wait when the node stops', () => {
    const { state, overload, ask } = fixture({ calls: 1, held: 1 });
    state.calls = 5;
    ask();
    const [first, second] = [ask().exchange, ask().exchange];
    expect([first.status, second.status]).toEqual([0, 503]);
    overload.stop();
    expect(first.status).toBe(503);
  });
});
