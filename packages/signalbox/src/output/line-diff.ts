export interface DiffLine {
  readonly mark: ' ' | '+' | '-';
  readonly text: string;
}

/** Beyond this many pairs of lines the texts are shown whole, one after the other: the table of lengths has that size. */
const pairLimit = 4_000_000;

/** Lines of two texts, those in both (a longest common subsequence) unmarked. */
export function diffLines(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  const marked = (mark: DiffLine['mark']) => (text: string) => ({ mark, text });
  if (before.length * after.length > pairLimit) return [...before.map(marked('-')), ...after.map(marked('+'))];
  const width = after.length + 1;
  // common[i * width + j]: length of the longest common subsequence of before[i..] and after[j..].
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const old = before[i];
    const fresh = after[j];
    if (old !== undefined && old === fresh) {
      lines.push({ mark: ' ', text: old });
      i += 1;
      j += 1;
    } else if (old !== undefined && (fresh === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ mark: '-', text: old });
      i += 1;
    } else if (fresh !== undefined) {
      lines.push({ mark: '+', text: fresh });
      j += 1;
    }
  }
  return lines;
}

/** The changed lines with `context` unchanged ones around them; a gap between two groups is marked. */
export function changedLines(lines: readonly DiffLine[], context: number): readonly (DiffLine | 'gap')[] {
  const shown = lines.map((_, index) =>
    lines.slice(Math.max(0, index - context), index + context + 1).some((line) => line.mark !== ' '),
  );
  const kept: (DiffLine | 'gap')[] = [];
  for (const [index, line] of lines.entries()) {
    if (shown[index]) kept.push(line);
    else if (kept.length > 0 && kept.at(-1) !== 'gap') kept.push('gap');
  }
  return kept.at(-1) === 'gap' ? kept.slice(0, -1) : kept;
}
