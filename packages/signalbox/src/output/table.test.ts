import { describe, expect, it } from 'vitest';
import { style } from './style.ts';
import { renderTable } from './table.ts';

const plain = style(false);

describe('renderTable', () => {
  it('makes every column as wide as its widest cell', () => {
    const text = renderTable(
      ['name', 'at'],
      [
        ['railway', '1'],
        ['x', '200'],
      ],
      plain,
    );
    expect(text).toBe('NAME     AT\nrailway  1\nx        200\n');
  });

  it('shows control characters of cells instead of obeying them', () => {
    const text = renderTable(['tool'], [['evil\u001b[2Jname\nnext']], plain);
    expect(text).toBe('TOOL\nevil\\u001b[2Jname next\n');
  });

  it('colours a cell without counting the colour as width', () => {
    const text = renderTable(
      ['a', 'b'],
      [
        [{ text: 'no', as: 'bad' }, 'x'],
        ['yes', 'y'],
      ],
      style(true),
    );
    expect(text).toContain('\u001b[31mno\u001b[39m   x');
  });

  it('counts characters, not UTF-16 units', () => {
    expect(
      renderTable(
        ['a', 'b'],
        [
          ['🚂', 'x'],
          ['ab', 'y'],
        ],
        plain,
      ),
    ).toBe('A   B\n🚂   x\nab  y\n');
  });
});
