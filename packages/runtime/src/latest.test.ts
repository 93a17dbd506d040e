import { describe, expect, it } from 'vitest';
import { Latest } from './latest.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('Latest', () => {
  it('shows a slow reader only the newest value', async () => {
    const latest = new Latest(0);
    const stop = new AbortController();
    const seen: number[] = [];
    const reader = (async () => {
      for await (const value of latest.watch(stop.signal)) {
        seen.push(value);
        await settle();
      }
    })();
    await settle();
    for (let value = 1; value <= 5; value += 1) latest.set(value);
    await settle();
    await settle();
    stop.abort();
    await reader;
    expect(seen).toEqual([0, 5]);
  });

  it('ends every watch when its signal aborts', async () => {
    const latest = new Latest('a');
    const stop = new AbortController();
    const watch = latest.watch(stop.signal);
    expect((await watch.next()).value).toBe('a');
    const pending = watch.next();
    stop.abort();
    expect((await pending).done).toBe(true);
  });
});
