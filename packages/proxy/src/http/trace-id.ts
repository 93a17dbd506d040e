/** Trace id of a W3C `traceparent`; empty when there is none or it is malformed. */
export function traceIdOf(traceparent: string | undefined): string {
  if (traceparent === undefined || traceparent.length < traceparentLength) return '';
  if (traceparent[2] !== '-' || traceparent[traceIdEnd] !== '-') return '';
  for (let i = traceIdStart; i < traceIdEnd; i += 1) if (!isLowerHex(traceparent.charCodeAt(i))) return '';
  return traceparent.slice(traceIdStart, traceIdEnd);
}

const traceIdStart = 3;
const traceIdEnd = 35;
const traceparentLength = 55;

function isLowerHex(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
}
