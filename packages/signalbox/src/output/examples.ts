/** The examples below a command's options: pairs of a command line and what it does. */
export function examples(...pairs: readonly (readonly [line: string, meaning: string])[]): string {
  const width = Math.max(...pairs.map(([line]) => line.length));
  return ['', 'Examples:', ...pairs.map(([line, meaning]) => `  $ ${line.padEnd(width)}  ${meaning}`)].join('\n');
}
