import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampDate } from '@bufbuild/protobuf/wkt';

/** `2026-11-21 16:40:03`, in the zone of the machine; empty for none. */
export function localTime(timestamp: Timestamp | undefined): string {
  if (!timestamp) return '';
  const date = timestampDate(timestamp);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}
