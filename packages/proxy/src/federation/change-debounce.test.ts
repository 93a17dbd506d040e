import { ManualClock } from '@signalbox/runtime/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { ChangeDebounce } from './change-debounce.ts';

describe('changes of several members', () => {
  let clock: ManualClock;
  let told: string[];
  let changes: ChangeDebounce;

  beforeEach(() => {
    clock = new ManualClock();
    told = [];
    const waits = { gatherMs: 50, spacingMs: 1_000 };
    changes = new ChangeDebounce(clock, waits, (kind) => told.push(`${kind} at ${clock.monotonic() - start}`));
    const start = clock.monotonic();
  });

  it('are one for the client when they come together, one for each kind of list', async () => {
    changes.changed('a', 'tools');
    await clock.advance(30);
    changes.changed('b', 'tools');
    changes.changed('c', 'prompts');
    await clock.advance(1_000);
    expect(told).toEqual(['tools at 50', 'prompts at 80']);
  });

  it('of one member come with a distance, and the last one is never lost', async () => {
    for (let at = 0; at < 100; at += 1) {
      changes.changed('a', 'tools');
      await clock.advance(25);
    }
    await clock.advance(5_000);
    expect(told).toEqual(['tools at 50', 'tools at 1050', 'tools at 2050', 'tools at 3050']);
  });

  it('of a noisy member do not hold up those of a quiet one, or of the gateway', async () => {
    changes.changed('noisy', 'tools');
    await clock.advance(100);
    changes.changed('noisy', 'tools');
    changes.changed('quiet', 'tools');
    await clock.advance(100);
    changes.changed('', 'tools');
    changes.changed('', 'tools');
    await clock.advance(100);
    expect(told).toEqual(['tools at 50', 'tools at 150', 'tools at 250']);
  });

  it('are forgotten when nobody listens any more', async () => {
    changes.changed('a', 'tools');
    await clock.advance(60);
    changes.changed('a', 'tools');
    changes.changed('b', 'tools');
    changes.stop();
    expect(clock.pending).toBe(0);
    await clock.advance(5_000);
    expect(told).toHaveLength(1);
  });
});
