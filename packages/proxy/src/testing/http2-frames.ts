/** Kinds of frames (RFC 9113 §6). */
export const frames = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, continuation: 9 } as const;
export const endStream = 0x1;
export const endHeaders = 0x4;

/** What a client says first, with empty settings. */
export const clientPreface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(frames.settings, 0, 0),
]);

/** One frame, as it is sent. */
export function frame(kind: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = kind;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Fields as literals that enter no table (RFC 7541 §6.2.2). */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** Head of a request without a body. */
export const getHead = headerBlock([
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'a.test'],
  [':path', '/'],
]);

/** The usual head of a request, with other pseudo fields; an empty one is left out. */
export function headBlock(fields: Record<string, string>): Buffer {
  const all = { ':method': 'GET', ':scheme': 'http', ':authority': 'a.test', ':path': '/', ...fields };
  return headerBlock(Object.entries(all).filter(([, value]) => value !== ''));
}

/** Kinds, flags and payloads of whole frames. */
export function readFrames(bytes: Buffer): { kind: number; flags: number; stream: number; payload: Buffer }[] {
  const read: { kind: number; flags: number; stream: number; payload: Buffer }[] = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    const payload = bytes.subarray(at + 9, end);
    read.push({
      kind: bytes[at + 3] as number,
      flags: bytes[at + 4] as number,
      stream: bytes.readUInt32BE(at + 5),
      payload,
    });
    at = end;
  }
  return read;
}

/** A length of up to 7 bits or more (RFC 7541 §5.1), and the text. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
