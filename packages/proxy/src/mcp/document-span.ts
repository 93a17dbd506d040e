import type { Span } from '../json/message.ts';

/** Where a JSON document stands within its bytes: without the blanks around it. */
export function documentSpan(bytes: Buffer): Span {
  let start = 0;
  let end = bytes.length;
  while (start < end && (bytes[start] as number) <= 0x20) start += 1;
  while (end > start && (bytes[end - 1] as number) <= 0x20) end -= 1;
  return { start, end };
}
