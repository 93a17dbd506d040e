import { quote } from './name.ts';

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const shape = /^(?:\d{1,5}(?:h|ms|m|s)){1,4}$/;
/** A day: no wait of a data plane is longer. */
const maxMs = 86_400_000;

/** Milliseconds of a duration as the Gateway API writes it (GEP-2257): `500ms`, `30s`, `1h30m`. NaN for anything else. */
export function durationMs(text: string): number {
  if (!shape.test(text)) return Number.NaN;
  return [...text.matchAll(/(\d+)(h|ms|m|s)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0),
    0,
  );
}

/** Why a text is no duration of at most 24 hours; an empty one says nothing, which is right. */
export function durationFault(text: string): string | undefined {
  if (text === '') return undefined;
  const ms = durationMs(text);
  if (Number.isNaN(ms)) return `${quote(text)} is not a duration: write it like 500ms, 30s or 1h30m`;
  return ms > maxMs ? `${quote(text)} is too long: at most 24h` : undefined;
}
