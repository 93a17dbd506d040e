import { connect, type Socket } from 'node:net';

/** What happens to a call, in this order: messages, then the end. */
export interface CallListener {
  /** One gRPC message; a view of memory that is used again after the call. */
  onMessage(message: Buffer): void;
  /** @param pushbackMs how long the server wants the client to stay away, if it says so. */
  onEnd(pushbackMs: number | undefined): void;
}

export interface CallOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly token: string;
  readonly listener: CallListener;
}

const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const endStream = 1;
const ack = 1;
const endHeaders = 4;
const maxFrameBytes = 16_384;
const frameHeaderBytes = 9;
const messageHeaderBytes = 5;
const largestWindow = 2 ** 31 - 1;
const initialWindow = 65_535;

/**
 * One gRPC call with streams both ways on a connection of its own (RFC 9113), with nothing in it that a subscriber of
 * discovery does not need: one stream, literal header fields, a receive window that never closes. It costs a tenth of
 * what a complete client costs, so that the fleet is not what is measured.
 */
export class Http2Call {
  readonly #socket: Socket;
  readonly #listener: CallListener;
  #unread: Buffer = Buffer.alloc(0);
  #message: MessageReader;
  #window = { connection: initialWindow, stream: initialWindow };
  #unsent: Buffer[] = [];
  #pushbackMs: number | undefined;
  #isOver = false;

  constructor({ host, port, path, token, listener }: CallOptions) {
    this.#listener = listener;
    this.#message = new MessageReader((message) => listener.onMessage(message));
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#over());
    this.#socket.write(opening(`${host}:${port}`, path, token));
  }

  send(message: Buffer): void {
    const header = Buffer.alloc(messageHeaderBytes);
    header.writeUInt32BE(message.length, 1);
    const bytes = Buffer.concat([header, message]);
    for (let at = 0; at < bytes.length; at += maxFrameBytes) this.#unsent.push(bytes.subarray(at, at + maxFrameBytes));
    this.#flush();
  }

  /** Cuts the connection, as a node that dies would. */
  cut(): void {
    this.#socket.destroy();
    this.#over();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#listener.onEnd(this.#pushbackMs);
  }

  #flush(): void {
    this.#socket.cork();
    for (let next = this.#unsent[0]; next && this.#room() >= next.length; next = this.#unsent[0]) {
      this.#unsent.shift();
      this.#window.connection -= next.length;
      this.#window.stream -= next.length;
      this.#socket.write(frame(frameType.data, 0, 1, next));
    }
    this.#socket.uncork();
  }

  #room(): number {
    return Math.min(this.#window.connection, this.#window.stream);
  }

  #read(chunk: Buffer): void {
    let bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    while (bytes.length >= frameHeaderBytes && !this.#isOver) {
      const end = frameHeaderBytes + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame(bytes[3] ?? 0, bytes[4] ?? 0, bytes.readUInt32BE(5), bytes.subarray(frameHeaderBytes, end));
      bytes = bytes.subarray(end);
    }
    this.#unread = bytes;
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === frameType.data) this.#message.read(payload);
    else if (type === frameType.headers) this.#pushbackMs ??= pushbackIn(payload);
    else if (type === frameType.windowUpdate) this.#widen(stream, payload.readUInt32BE(0));
    else if (type === frameType.settings && (flags & ack) === 0) this.#settings(payload);
    else if (type === frameType.ping && (flags & ack) === 0) this.#socket.write(frame(frameType.ping, ack, 0, payload));
    const ends = (type === frameType.data || type === frameType.headers) && (flags & endStream) !== 0;
    if (ends || type === frameType.reset || type === frameType.goAway) this.#over();
  }

  #widen(stream: number, by: number): void {
    if (stream === 0) this.#window.connection += by;
    else this.#window.stream += by;
    this.#flush();
  }

  #settings(payload: Buffer): void {
    const initialWindowSize = 4;
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) === initialWindowSize) {
        this.#window.stream += payload.readUInt32BE(at + 2) - initialWindow;
      }
    }
    this.#socket.write(frame(frameType.settings, ack, 0, Buffer.alloc(0)));
    this.#flush();
  }
}

/** Puts messages together from the content of DATA frames. */
class MessageReader {
  readonly #onMessage: (message: Buffer) => void;
  #parts: Buffer[] = [];
  #size = 0;
  #wanted = messageHeaderBytes;

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  read(data: Buffer): void {
    this.#parts.push(data);
    this.#size += data.length;
    while (this.#size >= this.#wanted) {
      const bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
      const end = messageHeaderBytes + bytes.readUInt32BE(1);
      this.#wanted = end;
      if (bytes.length < end) {
        this.#parts = [bytes];
        return;
      }
      this.#parts = [bytes.subarray(end)];
      this.#size = bytes.length - end;
      this.#wanted = messageHeaderBytes;
      this.#onMessage(bytes.subarray(messageHeaderBytes, end));
    }
    if (this.#size === 0) this.#parts = [];
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** Preface, settings, a wide window, and the head of the request. */
function opening(authority: string, path: string, token: string): Buffer {
  const settings = Buffer.alloc(18);
  // No dynamic header table, no push, a window that does not close.
  settings.writeUInt16BE(1, 0);
  settings.writeUInt16BE(2, 6);
  settings.writeUInt16BE(4, 12);
  settings.writeUInt32BE(largestWindow, 14);
  const window = Buffer.alloc(4);
  window.writeUInt32BE(largestWindow - initialWindow);
  // RFC 7541: indexed `:method: POST` and `:scheme: http`, then literals that are not indexed.
  const head = Buffer.concat([
    Buffer.from([0x83, 0x86, 0x04]),
    text(path),
    Buffer.from([0x01]),
    text(authority),
    ...field('content-type', 'application/grpc'),
    ...field('te', 'trailers'),
    ...field('authorization', `Bearer ${token}`),
  ]);
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(frameType.settings, 0, 0, settings),
    frame(frameType.windowUpdate, 0, 0, window),
    frame(frameType.headers, endHeaders, 1, head),
  ]);
}

function field(name: string, value: string): Buffer[] {
  return [Buffer.from([0]), text(name), text(value)];
}

/** A string without Huffman code. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const fits = 127;
  if (bytes.length < fits) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest = bytes.length - fits;
  return Buffer.concat([Buffer.from(rest < 128 ? [fits, rest] : [fits, (rest & 127) | 128, rest >> 7]), bytes]);
}

/** `grpc-retry-pushback-ms` in the Huffman code of RFC 7541, which servers use for names of fields. */
const pushbackName = huffman('grpc-retry-pushback-ms');

/** How long the server wants the client to stay away: the one trailer that is read. */
function pushbackIn(head: Buffer): number | undefined {
  const at = head.indexOf(pushbackName);
  if (at < 0) return undefined;
  const start = at + pushbackName.length;
  const length = head[start] ?? 0;
  const value = head.subarray(start + 1, start + 1 + (length & 127));
  const digits = (length & 128) === 0 ? value.toString('latin1') : huffmanDigits(value);
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/** Codes of RFC 7541, appendix B, for the characters of that name and for digits. */
function codeOf(character: string): string {
  const digit = '0123456789'.indexOf(character);
  if (digit >= 0) return digit < 3 ? digit.toString(2).padStart(5, '0') : (22 + digit).toString(2).padStart(6, '0');
  const codes: Readonly<Record<string, string>> = {
    ...{ '-': '010110', a: '00011', b: '100011', c: '00100', e: '00101', g: '100110', h: '100111', k: '1110101' },
    ...{ m: '101001', p: '101011', r: '101100', s: '01000', t: '01001', u: '101101', y: '1111010' },
  };
  return codes[character] as string;
}

const decimalDigits = '0123456789'.split('');

function huffman(value: string): Buffer {
  const bits = value.split('').map(codeOf).join('');
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

function huffmanDigits(bytes: Buffer): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let digits = '';
  while (bits.length >= 5) {
    const digit = decimalDigits.find((each) => bits.startsWith(codeOf(each)));
    if (digit === undefined) break;
    digits += digit;
    bits = bits.slice(codeOf(digit).length);
  }
  return digits;
}
