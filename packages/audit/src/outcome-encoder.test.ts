import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OutcomeEvent } from './event.ts';
import { OutcomeEncoder } from './outcome-encoder.ts';
import { sampleOutcome } from './testing/outcome.ts';

describe('the encoder of outcome events', () => {
  it('writes what JSON.stringify writes, for any events in any order', () => {
    const text = fc.oneof(fc.constantFrom('', 'a', 'b'), fc.string({ unit: 'binary', maxLength: 20 }));
    const amount = fc.oneof(fc.constantFrom(0, 1), fc.double(), fc.integer());
    const some = Object.fromEntries(
      Object.entries(sampleOutcome({})).map(([key, value]) => [key, typeof value === 'number' ? amount : text]),
    );
    const event = fc.record(
      { ...some, type: fc.constant('outcome'), protocol: text, path: text },
      { requiredKeys: Object.keys(some) as never[] },
    ) as unknown as fc.Arbitrary<OutcomeEvent>;
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), (events) => {
        const encoder = new OutcomeEncoder();
        const inOrder = events.map((one) => ({ ...sampleOutcome({}), ...one }));
        const half = inOrder.length / 2;
        for (const batch of [inOrder.slice(0, half), inOrder.slice(half)]) {
          expect(encoder.encode(batch).toString()).toBe(batch.map((one) => `${JSON.stringify(one)}\n`).join(''));
        }
      }),
    );
  });

  it('takes batches of any size', () => {
    const batch = Array.from({ length: 1_000 }, (_, i) => sampleOutcome({ id: String(i), tool: 'é'.repeat(i % 250) }));
    const lines = new OutcomeEncoder().encode(batch).toString().split('\n');
    expect(lines).toEqual([...batch.map((event) => JSON.stringify(event)), '']);
  });

  it('does not repeat a member of the event before when only that one changes', () => {
    const encoder = new OutcomeEncoder();
    const base = sampleOutcome({});
    for (const [key, value] of Object.entries(base)) {
      if (key === 'type') continue;
      const changed = { ...base, [key]: typeof value === 'number' ? value + 1 : `${value}x` } as OutcomeEvent;
      expect(encoder.encode([base, changed]).toString()).toBe(`${JSON.stringify(base)}\n${JSON.stringify(changed)}\n`);
    }
  });
});
