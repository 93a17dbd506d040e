import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changedLines, diffLines } from './line-diff.ts';

const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 12 });

describe('diffLines', () => {
  it('holds both texts: without the added lines the old one, without the removed ones the new one', () => {
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = diffLines(before, after);
        expect(diff.filter(({ mark }) => mark !== '+').map(({ text }) => text)).toEqual(before);
        expect(diff.filter(({ mark }) => mark !== '-').map(({ text }) => text)).toEqual(after);
      }),
    );
  });

  it('marks nothing in equal texts', () => {
    fc.assert(
      fc.property(lines, (text) => {
        expect(diffLines(text, text).filter(({ mark }) => mark !== ' ')).toEqual([]);
      }),
    );
  });

  it('marks only the line that changed', () => {
    expect(diffLines(['a', 'b', 'c'], ['a', 'x', 'c']).map(({ mark, text }) => mark + text)).toEqual([
      ' a',
      '-b',
      '+x',
      ' c',
    ]);
  });

  it('shows texts that are too long to compare whole', () => {
    const long = Array.from({ length: 2_001 }, (_, index) => String(index));
    expect(diffLines(long, long).filter(({ mark }) => mark === '-')).toHaveLength(2_001);
  });
});

describe('changedLines', () => {
  it('keeps the lines around a change and marks what it leaves out between two', () => {
    const before = Array.from({ length: 12 }, (_, index) => `line ${index}`);
    const after = before.with(1, 'one').with(10, 'ten');
    const shown = changedLines(diffLines(before, after), 1).map((line) =>
      line === 'gap' ? '…' : line.mark + line.text,
    );
    expect(shown).toEqual([
      ...[' line 0', '-line 1', '+one', ' line 2', '…'],
      ...[' line 9', '-line 10', '+ten', ' line 11'],
    ]);
  });

  it('is empty when nothing changed', () => {
    expect(changedLines(diffLines(['a', 'b'], ['a', 'b']), 3)).toEqual([]);
  });
});
