import { WASI } from 'node:wasi';

/**
 * Processor time of this thread in milliseconds, exact. `process.threadCpuUsage` is not: on kernels that count running
 * threads by the tick it moves in steps of up to 4 ms, so that any turn of the event loop can seem to have taken as long.
 * WASI is the one door in Node.js to the thread's own clock (`CLOCK_THREAD_CPUTIME_ID`).
 */
export function threadCpuMs(): number {
  const failed = clockTimeGet(threadClock, 0n, 0);
  if (failed !== 0) throw new Error(`the clock of the thread cannot be read: WASI error ${failed}`);
  return Number(memory.getBigUint64(0, true)) / 1e6;
}

/** `clockid::thread_cputime_id` of WASI preview 1. */
const threadClock = 3;

/** The smallest module that WASI takes: one page of memory for results, and an initializer that does nothing. */
const module = [
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00], // type 0: () -> ()
  ...[0x03, 0x02, 0x01, 0x00], // function 0 of type 0
  ...[0x05, 0x03, 0x01, 0x00, 0x01], // a memory of one page
  ...[0x07, 0x18, 0x02], // two exports
  ...[0x06, ...Buffer.from('memory'), 0x02, 0x00],
  ...[0x0b, ...Buffer.from('_initialize'), 0x00, 0x00],
  ...[0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b], // its empty body
];

/** As far as it is used here; the types of Node.js leave it to those of browsers. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer } };
  };
};

const wasi = new WASI({ version: 'preview1' });
const instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(module)));
wasi.initialize(instance);
const memory = new DataView(instance.exports.memory.buffer);
const clockTimeGet = wasi.wasiImport['clock_time_get'] as (clock: number, precision: bigint, at: number) => number;
