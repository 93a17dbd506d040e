import type { OutcomeEvent } from '@signalbox/audit';
import { describe, expect, it } from 'vitest';
import { latencyBucket, OutcomeCounter } from './outcome-counts.ts';

function counting(maxTenants = 10) {
  const recorded: OutcomeEvent[] = [];
  const counter = new OutcomeCounter(
    { record: (event) => void recorded.push(event), close: async () => {} },
    maxTenants,
  );
  const record = (given: Partial<OutcomeEvent>) => {
    const plain = { tenant: 'acme', revision: 7, decision: 'allow', error: '', status: 200 };
    const call = { method: 'tools/call', durationMs: 1 };
    counter.record({ ...plain, ...call, ...given } as OutcomeEvent);
  };
  const taken = (tenant = 'acme') =>
    counter.take(tenant).map((each) => [each.revision, each.requests, each.denials, each.upstreamErrors]);
  return { counter, recorded, record, taken };
}

describe('what is counted of outcomes', () => {
  it('tells tenants and revisions apart, and is not counted twice', () => {
    const { record, taken, recorded } = counting();
    record({});
    record({ decision: 'deny' });
    record({ tenant: 'globex', decision: 'unauthenticated' });
    record({ revision: 8, error: 'upstream_timeout' });
    record({});
    expect(taken()).toEqual([
      [8, 1, 0, 1],
      [7, 3, 1, 0],
    ]);
    expect(taken('globex')).toEqual([[7, 1, 1, 0]]);
    expect(taken()).toEqual([]);
    expect(recorded).toHaveLength(5);
  });

  it.each<[string, Partial<OutcomeEvent>, number[]]>([
    ['a limit that was used up is a denial', { decision: 'limited', status: 429, error: 'rate_limited' }, [1, 0]],
    ['a failure that was passed through is the upstream’s', { status: 503 }, [0, 1]],
    ['a failure of the gateway is nobody’s', { decision: 'none', status: 503, error: 'not_ready' }, [0, 0]],
    ['an error of the caller is nobody’s', { decision: 'invalid', status: 400, error: 'not_json' }, [0, 0]],
  ])('%s', (_what, event, expected) => {
    const { record, taken } = counting();
    record(event);
    expect(taken()[0]?.slice(2)).toEqual(expected);
  });

  it('has neither what belongs to no tenant, nor revisions older than the one before', () => {
    const { record, taken } = counting();
    record({ tenant: '', revision: 0 });
    for (const revision of [8, 9, 7]) record({ revision });
    expect(taken('')).toEqual([]);
    expect(taken().map(([revision]) => revision)).toEqual([9, 8]);
  });

  it('counts on when it could not be told', () => {
    const { counter, record, taken } = counting();
    record({ decision: 'deny', durationMs: 50 });
    const lost = counter.take('acme');
    record({ durationMs: 50 });
    counter.giveBack(lost);
    expect(counter.take('acme')[0]?.latency[latencyBucket(50)]).toBe(2);
    record({});
    counter.giveBack(lost);
    expect(taken()).toEqual([[7, 2, 1, 0]]);
  });

  it('has no latencies of streams: they last for as long as somebody listens', () => {
    const { counter, record } = counting();
    record({ method: 'GET', durationMs: 3_600_000 });
    const [counts] = counter.take('acme');
    expect([counts?.requests, counts?.latency.some((count) => count > 0)]).toEqual([1, false]);
  });

  it('forgets the tenants that were counted first when there are too many', () => {
    const { record, taken } = counting(2);
    for (const tenant of ['a', 'b', 'c', 'a']) record({ tenant });
    expect([taken('a'), taken('b'), taken('c')]).toEqual([[[7, 1, 0, 0]], [], [[7, 1, 0, 0]]]);
  });
});

describe('a bucket of latencies', () => {
  it.each([
    [0, 0],
    [0.1, 0],
    [0.11, 1],
    [0.2, 4],
    [1.6, 16],
    [Number.NaN, 0],
    [1e12, 79],
  ])('of %f ms is %i', (ms, bucket) => {
    expect(latencyBucket(ms)).toBe(bucket);
  });
});
