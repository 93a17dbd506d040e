import { describe, expect, it } from 'vitest';
import { hashKey, KeyTable } from './key-table.ts';

function tableOf(text: string) {
  const bytes = Buffer.from(text);
  const table = new KeyTable();
  table.begin(bytes);
  const add = (owner: number, start: number, end: number) => table.add(owner, hashKey(bytes, start, end), start, end);
  return { bytes, table, add };
}

describe('a key table', () => {
  it('finds a key again in the same object only', () => {
    const { add } = tableOf('abab');
    expect([add(1, 0, 2), add(2, 0, 2), add(1, 2, 4), add(1, 0, 1)]).toEqual(['added', 'added', 'repeated', 'added']);
  });

  it('compares what was written with escapes by what it means', () => {
    const { add, table } = tableOf('ab');
    expect(add(1, 0, 2)).toBe('added');
    expect(table.addDecoded(1, Buffer.from('ab'))).toBe('repeated');
    expect(table.addDecoded(1, Buffer.from('c'))).toBe('added');
    expect(table.addDecoded(1, Buffer.from('c'))).toBe('repeated');
  });

  it('forgets the keys of a document when the next begins', () => {
    const { bytes, table, add } = tableOf('ab');
    expect(add(1, 0, 2)).toBe('added');
    table.finish();
    table.begin(bytes);
    expect(table.count).toBe(0);
    expect(add(1, 0, 2)).toBe('added');
  });

  it('holds as many keys as it is given, and none is lost when it grows', () => {
    const text = Array.from({ length: 5_000 }, (_, i) => String(i).padStart(4, '0')).join('');
    const { add } = tableOf(text);
    const keys = Array.from({ length: 5_000 }, (_, i) => i * 4);
    expect(new Set(keys.map((at) => add(1, at, at + 4)))).toEqual(new Set(['added']));
    expect(new Set(keys.map((at) => add(1, at, at + 4)))).toEqual(new Set(['repeated']));
  });

  it('reports keys that were made to collide instead of walking along them', () => {
    const { table } = tableOf('x'.repeat(1_000));
    const results = Array.from({ length: 400 }, (_, i) => table.add(1, 42, 0, i));
    expect(results.slice(0, 100)).toEqual(Array.from({ length: 100 }, () => 'added'));
    expect(results.at(-1)).toBe('attack');
  });
});
