/** Two spaces of indentation and a line end: fit for people, `jq` and diffs alike. */
export function renderJson(data: unknown): string {
  return `${JSON.stringify(data, undefined, 2)}\n`;
}
