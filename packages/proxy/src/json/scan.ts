import type { ScannedBody } from './message.ts';

/** Bounds of one JSON document (security.md §7.2). */
export interface ScanLimits {
  /** Open objects and arrays around a value. Beyond: `depth`. */
  readonly maxDepth: number;
  /** Members of all objects of the document together. Beyond: `too-many-keys`. */
  readonly maxKeys: number;
  /** Elements of one array. Beyond: `too-large`. */
  readonly maxElements: number;
  /** Bytes of one string as it stands in the document. Beyond: `too-large`. */
  readonly maxStringBytes: number;
  /** Messages of one batch. Beyond: `too-large`. */
  readonly maxBatch: number;
}

/** Bounds for what clients send. */
export const requestScanLimits: ScanLimits = Object.freeze({
  maxDepth: 64,
  maxKeys: 10_000,
  maxElements: 100_000,
  maxStringBytes: 1_048_576,
  maxBatch: 100,
});

/** Bounds for what upstreams answer: large results are legitimate. */
export const responseScanLimits: ScanLimits = Object.freeze({
  maxDepth: 128,
  maxKeys: 1_000_000,
  maxElements: 1_000_000,
  maxStringBytes: 16_777_216,
  maxBatch: 100,
});

/** Reads a body strictly, once. Never throws; see `ScannedMessage` for what was checked and located. */
export function scanBody(_bytes: Buffer, _limits: ScanLimits): ScannedBody {
  return { kind: 'fault', fault: { fault: 'syntax', at: 0 } };
}
