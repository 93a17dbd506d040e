import { quote } from './name.ts';

const units: Readonly<Record<string, number>> = { '': 1, Ki: 1_024, Mi: 1_048_576, Gi: 1_073_741_824 };
const shape = /^(\d{1,12})(Ki|Mi|Gi|)$/;
const maxBytes = 1_099_511_627_776;

/** Bytes of a quantity as Kubernetes writes it: `65536`, `512Ki`, `10Mi`, `1Gi`. NaN for anything else. */
export function byteCount(text: string): number {
  const [, digits, unit] = shape.exec(text) ?? [];
  return digits === undefined ? Number.NaN : Number(digits) * (units[unit ?? ''] ?? Number.NaN);
}

/** Why a text is no number of bytes from 1 to 1 TiB; an empty one says nothing, which is right. */
export function byteCountFault(text: string): string | undefined {
  if (text === '') return undefined;
  const bytes = byteCount(text);
  if (Number.isNaN(bytes)) return `${quote(text)} is not a number of bytes: write it like 65536, 512Ki or 10Mi`;
  return bytes < 1 || bytes > maxBytes ? `${quote(text)} is out of range: 1 to 1024Gi` : undefined;
}
