/** Whether a text matches one of some patterns. */
export type Glob = (text: string) => boolean;

/**
 * Patterns in which `*` stands for any characters, none included. Those without `*` are found in a set; the others cost
 * time in proportion to text and pattern, whatever they are.
 */
export function compileGlobs(patterns: readonly string[]): Glob {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const open = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split('*'));
  return (text) => exact.has(text) || open.some((pieces) => matches(text, pieces));
}

/** @param pieces what stands between the stars, at least two. */
function matches(text: string, pieces: readonly string[]): boolean {
  const first = pieces[0] as string;
  const last = pieces[pieces.length - 1] as string;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  // The leftmost place of each piece leaves most room for the next ones.
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
