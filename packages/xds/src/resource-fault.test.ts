import { describe, expect, it } from 'vitest';
import { faultStatus, parseFaults } from './resource-fault.ts';

describe('faults in a NACK', () => {
  it('survive the way', () => {
    const faults = [
      { name: 'a', error: 'too "big"' },
      { name: 'b', error: 'unknown' },
    ];
    expect(parseFaults(faultStatus(faults).message)).toEqual(faults);
  });

  it.each([
    ['plain text', [{ name: '', error: 'plain text' }]],
    ['', [{ name: '', error: '' }]],
    ['[not json', [{ name: '', error: '[not json' }]],
    ['[]', [{ name: '', error: '[]' }]],
    ['[1, null, {"name": "a"}]', [{ name: '', error: '[1, null, {"name": "a"}]' }]],
    ['[{"key":"a","warn":"degraded"}]', [{ name: 'a', error: 'degraded' }]],
    ['[{"error":"no name"}]', [{ name: '', error: 'no name' }]],
  ])('are never lost, whatever the client writes: %s', (message, faults) => {
    expect(parseFaults(message)).toEqual(faults);
  });

  it('are bounded in number and length', () => {
    const many = Array.from({ length: 1_000 }, () => ({ name: 'n'.repeat(5_000), error: 'e'.repeat(5_000) }));
    const parsed = parseFaults(faultStatus(many).message);
    expect(parsed).toHaveLength(100);
    expect(parsed[0]?.error).toHaveLength(2_000);
    expect(parseFaults(JSON.stringify(many))).toHaveLength(100);
  });
});
