import { arrayElements } from '../json/members.ts';
import type { ScannedMessage } from '../json/message.ts';
import { type ScanLimits, scanBody } from '../json/scan.ts';
import { documentSpan } from '../mcp/document-span.ts';

/** The messages that a server sends at a time: one, or those of a batch (2025-03-26), each in bytes of its own. */
export function messagesIn(bytes: Buffer, limits: ScanLimits): readonly ScannedMessage[] {
  const scanned = scanBody(bytes, limits);
  if (scanned.kind === 'message') return [scanned.message];
  if (scanned.kind !== 'batch') return [];
  return arrayElements(bytes, documentSpan(bytes)).flatMap(({ start, end }) => {
    const one = scanBody(Buffer.from(bytes.subarray(start, end)), limits);
    return one.kind === 'message' ? [one.message] : [];
  });
}
