import { integer, type Setting } from '@signalbox/runtime';

/** Longest time that a setting can name: what a timer can wait for. */
const maxMs = 2_147_483_647;
export const maxCount = 2_147_483_647;
const maxBytes = 4 * 1024 * 1024 * 1024;

/** A time in milliseconds. */
export function ms(name: string, fallback: number, doc: string): Setting<number> {
  return integer({ name, fallback: String(fallback), unit: 'ms', min: 0, max: maxMs, doc });
}

/** A size. */
export function bytes(name: string, fallback: number, doc: string): Setting<number> {
  return integer({ name, fallback: String(fallback), unit: 'bytes', min: 1, max: maxBytes, doc });
}

/** A number of things. */
export function count(name: string, fallback: number, doc: string, unit = 'count'): Setting<number> {
  return integer({ name, fallback: String(fallback), unit, min: 0, max: maxCount, doc });
}

/** A bound that cannot be lifted: at least 1. */
export function bound(name: string, fallback: number, doc: string, unit = 'count'): Setting<number> {
  return integer({ name, fallback: String(fallback), unit, min: 1, max: maxCount, doc });
}
