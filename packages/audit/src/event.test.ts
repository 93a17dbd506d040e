import { describe, expect, it } from 'vitest';
import { EventIds } from './event-id.ts';
import { maxTextLength, type OutcomeFields, outcomeEvent } from './event.ts';
import { sampleOutcome } from './testing/outcome.ts';

describe('an outcome event', () => {
  it('keeps what it was given', () => {
    const { type, ...fields } = sampleOutcome();
    expect(type).toBe('outcome');
    expect(outcomeEvent(fields)).toEqual({ type: 'outcome', ...fields });
  });

  it('cuts text from outside, so that its size is bounded', () => {
    const long = 'x'.repeat(1_000_000);
    const { tool, method, session, principal } = sampleOutcome({
      tool: long,
      method: long,
      session: long,
      principal: long,
    });
    for (const text of [tool, method, session, principal]) expect(text).toHaveLength(maxTextLength);
    expect(tool.endsWith('…')).toBe(true);
  });

  it('carries nothing that is not one of its fields', () => {
    const fields = { ...sampleOutcome(), arguments: { password: 'p' } } as OutcomeFields;
    expect(JSON.stringify(outcomeEvent(fields))).not.toContain('password');
  });
});

describe('event ids', () => {
  it('are unique and in order of time as text', () => {
    const earlier = new EventIds(1_700_000_000_000, 'a');
    const later = new EventIds(1_700_000_000_001, 'a');
    const ids = [
      ...Array.from({ length: 2_000 }, () => earlier.next()),
      ...Array.from({ length: 10 }, () => later.next()),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(ids);
  });
});
