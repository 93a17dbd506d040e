import { dot, minus, nine, openBrace, quote, zero } from './bytes.ts';
import type { ScannedMessage, Span } from './message.ts';
import { decodeString } from './string.ts';

const noSpan: Span = Object.freeze({ start: 0, end: 0 });

/** Collects the parts of a message while it is read. */
export class MessageParts implements ScannedMessage {
  readonly bytes: Buffer;
  span: Span = noSpan;
  jsonrpc = false;
  method: string | undefined = undefined;
  id: Span | undefined = undefined;
  idType: ScannedMessage['idType'] = 'absent';
  hasResult = false;
  hasError = false;
  result: Span | undefined = undefined;
  error: Span | undefined = undefined;
  params: Span | undefined = undefined;
  paramsType: ScannedMessage['paramsType'] = 'absent';
  name: string | undefined = undefined;
  uri: string | undefined = undefined;
  args: Span | undefined = undefined;
  meta: Span | undefined = undefined;
  /** Where a method, name or URI with half a surrogate pair stands: readers disagree on such text. -1 if none does. */
  #illFormedAt = -1;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get illFormedAt(): number {
    return this.#illFormedAt;
  }

  /** Takes one member of the message or of its params. */
  note(key: string, value: Span): void {
    switch (key) {
      case 'jsonrpc':
        this.jsonrpc = isVersion2(this.bytes, value);
        break;
      case 'id':
        this.id = value;
        this.idType = typeOfId(this.bytes, value);
        break;
      case 'method':
        this.method = this.#text(value);
        break;
      case 'result':
        this.result = value;
        this.hasResult = true;
        break;
      case 'error':
        this.error = value;
        this.hasError = true;
        break;
      case 'params':
        this.params = value;
        this.paramsType = this.bytes[value.start] === openBrace ? 'object' : 'other';
        break;
      case 'name':
        this.name = this.#text(value);
        break;
      case 'uri':
        this.uri = this.#text(value);
        break;
      case 'arguments':
        this.args = value;
        break;
      case '_meta':
        this.meta = value;
        break;
    }
  }

  #text(value: Span): string | undefined {
    if (this.bytes[value.start] !== quote) return undefined;
    const text = decodeString(this.bytes, value.start + 1, value.end - 1);
    if (!text.isWellFormed()) this.#illFormedAt = value.start;
    return text;
  }
}

function typeOfId(bytes: Buffer, id: Span): ScannedMessage['idType'] {
  const first = bytes[id.start] as number;
  if (first === quote) return 'string';
  if (first === 0x6e) return 'null';
  if (first !== minus && (first < zero || first > nine)) return 'other';
  for (let i = id.start + 1; i < id.end; i += 1) {
    const byte = bytes[i] as number;
    if (byte < zero || byte > nine) return 'fraction';
  }
  return 'integer';
}

/** `"2.0"`, without decoding in the common case. */
function isVersion2(bytes: Buffer, value: Span): boolean {
  const { start, end } = value;
  if (bytes[start] !== quote) return false;
  if (end - start === 5) return bytes[start + 1] === 0x32 && bytes[start + 2] === dot && bytes[start + 3] === zero;
  return decodeString(bytes, start + 1, end - 1) === '2.0';
}
