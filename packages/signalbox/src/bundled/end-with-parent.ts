/** Ends this child when its standard input ends: the parent holds the other end until it is gone, by whatever means. */
export function endWithParent(): void {
  process.stdin.on('end', () => process.exit(0));
  process.stdin.on('error', () => process.exit(0));
  process.stdin.resume();
}
