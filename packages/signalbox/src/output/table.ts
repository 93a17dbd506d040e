import { printableLine } from './printable.ts';
import type { Style } from './style.ts';

/** A cell is text, or text with the colour in which to show it. */
export type Cell = string | { readonly text: string; readonly as: keyof Style };

/** Columns as wide as their widest cell, two spaces between them, heads in capitals; the last column is not padded. */
export function renderTable(heads: readonly string[], rows: readonly (readonly Cell[])[], style: Style): string {
  const clean = rows.map((row) => row.map((cell) => printableLine(textOf(cell))));
  const widths = heads.map((head, column) => {
    return Math.max(head.length, ...clean.map((row) => lengthOf(row[column] ?? '')));
  });
  const line = (texts: readonly string[], paint: (text: string, column: number) => string) =>
    texts
      .map((text, column) => {
        const padding = ' '.repeat((widths[column] ?? 0) - lengthOf(text));
        return paint(text, column) + (column === texts.length - 1 ? '' : padding);
      })
      .join('  ')
      .trimEnd();
  const head = line(
    heads.map((text) => text.toUpperCase()),
    (text) => style.dim(text),
  );
  const body = clean.map((texts, index) =>
    line(texts, (text, column) => {
      const cell = rows[index]?.[column];
      return typeof cell === 'object' ? style[cell.as](text) : text;
    }),
  );
  return `${[head, ...body].join('\n')}\n`;
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text;
}

/** In characters rather than UTF-16 units. */
function lengthOf(text: string): number {
  return Array.from(text).length;
}
