/** A stretch of bytes, `[start, end)`, and what takes its place. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string | Buffer;
}

/** The bytes with every edit made. Edits must be in order and apart. The bytes between them are copied as they are. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return bytes;
  const parts: Buffer[] = [];
  let from = 0;
  for (const { start, end, text } of edits) {
    parts.push(bytes.subarray(from, start), typeof text === 'string' ? Buffer.from(text, 'utf8') : text);
    from = end;
  }
  parts.push(bytes.subarray(from));
  return Buffer.concat(parts);
}

/** One edit with ASCII or UTF-8 text, in one allocation: for the ids of every request and answer. */
export function spliceText(bytes: Buffer, start: number, end: number, text: string): Buffer {
  const size = Buffer.byteLength(text, 'utf8');
  const out = Buffer.allocUnsafe(bytes.length - (end - start) + size);
  bytes.copy(out, 0, 0, start);
  out.write(text, start, 'utf8');
  bytes.copy(out, start + size, end);
  return out;
}
