/** One event of an SSE stream. */
export interface SseEvent {
  /** Everything from the first line of the event to its closing blank line, as it arrived: forward this unchanged. */
  readonly raw: Buffer;
  /** `data` lines joined by LF; undefined when there was none (comments, priming events without data). */
  readonly data: string | undefined;
  /** The same as bytes, not yet decoded. A single line is a view into `raw`, so it can be replaced where it stands. */
  readonly dataBytes: Buffer | undefined;
  /** `event` field; empty when absent, which means `message`. */
  readonly event: string;
  /** `id` field of this event; undefined when absent. */
  readonly id: string | undefined;
  /** `retry` field in milliseconds; undefined when absent or not a number. */
  readonly retryMs: number | undefined;
}

/** Takes events; `onTooLarge` ends the parser: nothing more comes from it. */
export interface SseHandler {
  onEvent(event: SseEvent): void;
  /** An event exceeds the cap. */
  onTooLarge(): void;
}

/**
 * Splits a byte stream into events (WHATWG HTML, "Server-sent events"). Pieces may be cut anywhere; the events are the
 * same. Pieces handed to `push` must not change afterwards.
 *
 * 1. An event is reported as soon as its blank line is there. When that line ends in a CR that closes a piece, an LF
 *    that opens the next piece is dropped: it says nothing more.
 * 2. `raw` of all events, one after the other, is the stream without its byte order mark, without such LFs and without
 *    blank lines that close no event.
 * 3. At most `maxEventBytes` of an unfinished event are kept, and an event without its blank line never happened.
 */
export class SseParser {
  readonly #maxEventBytes: number;
  readonly #handler: SseHandler;
  /** Beginning of an event whose end has not come. */
  #kept = noBytes;
  #keptLength = 0;
  /** Where its last line begins, and how far that line was searched. */
  #lineStart = 0;
  #searched = 0;
  #fields = new EventFields();
  #started = false;
  #afterCr = false;
  #over = false;

  /** @param maxEventBytes bound on the raw bytes of one event. */
  constructor(maxEventBytes: number, handler: SseHandler) {
    this.#maxEventBytes = maxEventBytes;
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    if (this.#over || chunk.length === 0) return;
    const bytes = this.#joined(chunk);
    const isSplitLineFeed = this.#afterCr && chunk[0] === lf;
    this.#afterCr = false;
    if (!this.#started) this.#readStart(bytes);
    else if (!isSplitLineFeed) this.#read(bytes);
    else if (bytes === chunk) this.#read(chunk.subarray(1));
    else {
      this.#lineStart = this.#searched = bytes.length - chunk.length + 1;
      this.#read(bytes);
    }
  }

  /** The stream ended, or nobody wants more of it: nothing is reported any more. */
  end(): void {
    this.#over = true;
    this.#kept = noBytes;
    this.#keptLength = 0;
  }

  /** Skips a byte order mark once enough is there to tell. */
  #readStart(bytes: Buffer): void {
    const length = Math.min(bytes.length, byteOrderMark.length);
    const matches = bytes.subarray(0, length).equals(byteOrderMark.subarray(0, length));
    if (matches && length < byteOrderMark.length) return this.#keep(bytes, 0);
    this.#started = true;
    this.#read(matches ? bytes.subarray(length) : bytes);
  }

  /** Reads an unfinished event, if any, and what follows it. `#lineStart` and `#searched` are positions in `bytes`. */
  #read(bytes: Buffer): void {
    let eventStart = 0;
    let lineStart = this.#lineStart;
    let searched = this.#searched;
    let nextLf = -1;
    let nextCr = -1;
    for (;;) {
      // Each search runs on from the last one, so that many short lines cost one pass.
      if (nextLf < searched) nextLf = indexOrEnd(bytes, lf, searched);
      if (nextCr < searched) nextCr = indexOrEnd(bytes, cr, searched);
      const lineEnd = Math.min(nextLf, nextCr);
      if (lineEnd === bytes.length) break;
      const next = bytes[lineEnd] === cr && bytes[lineEnd + 1] === lf ? lineEnd + 2 : lineEnd + 1;
      this.#afterCr = next === bytes.length && bytes[next - 1] === cr;
      if (lineEnd > lineStart) this.#fields.addLine(bytes, eventStart, lineStart, lineEnd);
      else {
        if (next - eventStart > this.#maxEventBytes) return this.#tooLarge();
        this.#report(bytes.subarray(eventStart, next));
        if (this.#over) return;
        eventStart = next;
      }
      lineStart = searched = next;
    }
    this.#lineStart = lineStart - eventStart;
    this.#searched = bytes.length - eventStart;
    this.#keep(bytes, eventStart);
  }

  #report(raw: Buffer): void {
    const fields = this.#fields;
    if (fields.lines === 0) return;
    this.#fields = new EventFields();
    this.#handler.onEvent(new ReadEvent(raw, fields));
  }

  #joined(chunk: Buffer): Buffer {
    if (this.#keptLength === 0) return chunk;
    const length = this.#keptLength + chunk.length;
    if (length > this.#kept.length) this.#moveKept(this.#kept.subarray(0, this.#keptLength), length * 2);
    chunk.copy(this.#kept, this.#keptLength);
    return this.#kept.subarray(0, length);
  }

  /** Keeps the bytes from `start` on. They stay where they are if they are kept already and nothing was reported. */
  #keep(bytes: Buffer, start: number): void {
    const length = bytes.length - start;
    if (length > this.#maxEventBytes) return this.#tooLarge();
    this.#keptLength = length;
    if (length === 0) this.#kept = noBytes;
    else if (start > 0 || !isStartOf(this.#kept, bytes)) this.#moveKept(bytes.subarray(start), length * 2);
  }

  /** To memory of our own: events that were reported are views into the old one. */
  #moveKept(bytes: Buffer, capacity: number): void {
    const kept = Buffer.allocUnsafeSlow(Math.max(capacity, smallestKept));
    bytes.copy(kept);
    this.#kept = kept;
  }

  #tooLarge(): void {
    this.end();
    this.#handler.onTooLarge();
  }
}

/** Fields to write. */
export interface SseFields {
  readonly id?: string;
  readonly retryMs?: number;
  /** Omitted from the event when undefined. */
  readonly data?: string;
}

/**
 * An event as text to send. Line breaks in `data` become several `data` lines.
 * @throws TypeError for an id with a line break or NUL: it would end the field.
 */
export function encodeEvent(fields: SseFields): string {
  const { id, retryMs, data } = fields;
  let text = '';
  if (id !== undefined) {
    if (/[\r\n\0]/.test(id)) throw new TypeError('an event id must be one line');
    text += `id: ${id}\n`;
  }
  if (retryMs !== undefined) text += `retry: ${retryMs}\n`;
  if (data !== undefined) text += `data: ${/[\r\n]/.test(data) ? data.split(/\r\n|\r|\n/).join('\ndata: ') : data}\n`;
  return `${text}\n`;
}

/** A comment, to keep a quiet stream alive. */
export const sseHeartbeat = ':\n\n';

/** What the lines of an event say; positions are relative to its start. */
class EventFields {
  /** Lines that are not blank. */
  lines = 0;
  readonly dataStarts: number[] = [];
  readonly dataEnds: number[] = [];
  event = '';
  id: string | undefined = undefined;
  retryMs: number | undefined = undefined;

  addLine(bytes: Buffer, eventStart: number, start: number, end: number): void {
    this.lines += 1;
    if (isDataLine(bytes, start, end)) {
      const value = Math.min(end, start + 5);
      this.dataStarts.push((bytes[value] === blank && value < end ? value + 1 : value) - eventStart);
      this.dataEnds.push(end - eventStart);
    } else if (mayBeField[bytes[start] as number] === 1) {
      this.#addField(bytes.toString('utf8', start, end));
    }
  }

  #addField(line: string): void {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'event') this.event = value;
    else if (name === 'id' && !value.includes('\0')) this.id = value;
    else if (name === 'retry' && /^\d{1,15}$/.test(value)) this.retryMs = Number(value);
  }
}

class ReadEvent implements SseEvent {
  readonly raw: Buffer;
  readonly #fields: EventFields;

  constructor(raw: Buffer, fields: EventFields) {
    this.raw = raw;
    this.#fields = fields;
  }

  get data(): string | undefined {
    return this.dataBytes?.toString();
  }

  get dataBytes(): Buffer | undefined {
    const { dataStarts: starts, dataEnds: ends } = this.#fields;
    if (starts.length === 0) return undefined;
    if (starts.length === 1) return this.raw.subarray(starts[0], ends[0]);
    return Buffer.concat(
      starts.flatMap((start, i) => [i === 0 ? noBytes : lineFeed, this.raw.subarray(start, ends[i])]),
    );
  }

  get event(): string {
    return this.#fields.event;
  }

  get id(): string | undefined {
    return this.#fields.id;
  }

  get retryMs(): number | undefined {
    return this.#fields.retryMs;
  }
}

const lf = 0x0a;
const cr = 0x0d;
const colonByte = 0x3a;
const blank = 0x20;
const noBytes = Buffer.alloc(0);
const lineFeed = Buffer.from('\n');
const byteOrderMark = Buffer.from('\ufeff');
const smallestKept = 1_024;
/** First bytes of `event`, `id` and `retry`: other lines need not be decoded. */
const mayBeField = new Uint8Array(256);
for (const first of 'eir') mayBeField[first.charCodeAt(0)] = 1;

/** `data`, alone or before a colon. */
function isDataLine(bytes: Buffer, start: number, end: number): boolean {
  return (
    end - start >= 4 &&
    bytes[start] === 0x64 &&
    bytes[start + 1] === 0x61 &&
    bytes[start + 2] === 0x74 &&
    bytes[start + 3] === 0x61 &&
    (end - start === 4 || bytes[start + 4] === colonByte)
  );
}

/** Both are views that begin at the same place in memory. */
function isStartOf(memory: Buffer, bytes: Buffer): boolean {
  return memory.buffer === bytes.buffer && memory.byteOffset === bytes.byteOffset;
}

function indexOrEnd(bytes: Buffer, byte: number, from: number): number {
  const found = bytes.indexOf(byte, from);
  return found < 0 ? bytes.length : found;
}
