const prefix = '=?base64?';
const suffix = '?=';

/**
 * Decodes a value of `Mcp-Name` or `Mcp-Param-*`: plain text, or UTF-8 in base64 between exact markers (MCP 2026-07-28,
 * Streamable HTTP). @returns undefined when what stands between the markers is not canonical base64 of UTF-8.
 */
export function decodeHeaderValue(value: string): string | undefined {
  if (!value.startsWith(prefix) || !value.endsWith(suffix)) return value;
  const encoded = value.slice(prefix.length, value.length - suffix.length);
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) return undefined;
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}

/** The inverse of {@link decodeHeaderValue}: as it is where a header can hold it, encoded otherwise. */
export function encodeHeaderValue(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith(prefix);
  return isPlain ? text : prefix + Buffer.from(text, 'utf8').toString('base64') + suffix;
}
