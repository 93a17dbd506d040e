import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.ts';
import type { Random } from './random.ts';
import { ManualClock, SeededRandom } from './testing/index.ts';

const options = { minMs: 100, maxMs: 30_000, stableAfterMs: 10_000 };

describe('Backoff', () => {
  it('keeps every delay between the minimum and a ceiling that doubles up to the maximum', () => {
    const backoff = new Backoff(options, new ManualClock(), new SeededRandom(7));
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const delay = backoff.nextDelayMs();
      expect(delay).toBeGreaterThanOrEqual(options.minMs);
      expect(delay).toBeLessThanOrEqual(Math.min(options.maxMs, options.minMs * 2 ** attempt));
    }
  });

  it('starts from the beginning after an uptime that was long enough, and not after a shorter one', async () => {
    const clock = new ManualClock();
    const random: Random = { fraction: () => 1, bytes: () => Buffer.alloc(0), uuid: () => '' };
    const backoff = new Backoff(options, clock, random);
    backoff.nextDelayMs();
    backoff.nextDelayMs();
    backoff.succeeded();
    await clock.advance(options.stableAfterMs - 1);
    expect(backoff.nextDelayMs()).toBe(400);
    backoff.succeeded();
    await clock.advance(options.stableAfterMs);
    expect(backoff.nextDelayMs()).toBe(100);
  });
});
