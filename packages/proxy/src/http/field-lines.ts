import { fieldName, HeaderField } from './field.ts';

/**
 * Reads the header lines of the messages of one connection (RFC 9112 §5), strictly: CRLF between lines, names that are
 * tokens with the colon right behind them, no continuation lines, no control characters.
 *
 * Peers send most lines again with every message. A line that stands where it stood in the message before is compared
 * and not read again, and its text is the same object, which maps then find faster. Once it is known to be sent again it
 * gets memory of its own: a slice would keep the whole head that it first stood in.
 */
export class FieldLines {
  readonly #lines: string[] = [];
  readonly #fields: HeaderField[] = [];
  /** Of each line, whether it is a copy. */
  readonly #isOwn: boolean[] = [];
  readonly #isServer: boolean;

  /** @param isServer no blank may stand behind what says how long a body is: not everyone reads requests with one alike. */
  constructor(isServer: boolean) {
    this.#isServer = isServer;
  }

  /**
   * @param text a head, one character a byte, without the empty line at its end.
   * @param start where its first header line begins.
   * @returns what was read, or what is wrong with it.
   */
  read(text: string, start: number): readonly HeaderField[] | FieldProblem {
    const lines = this.#lines;
    let count = 0;
    for (let at = start; at < text.length; count += 1) {
      const known = lines[count];
      let end = known === undefined ? -1 : at + known.length;
      if (known !== undefined && text.slice(at, end) === known && endsLine(text, end)) {
        if (this.#isOwn[count] !== true) this.#own(count, known);
      } else {
        const found = text.indexOf('\r\n', at);
        end = found < 0 ? text.length : found;
        const problem = this.#take(count, text, at, end);
        if (problem !== undefined) return problem;
      }
      at = end + 2;
    }
    if (lines.length > count) this.#forgetFrom(count);
    return this.#fields.slice();
  }

  /** Lets go of the last message. */
  forget(): void {
    if (this.#lines.length > 0) this.#forgetFrom(0);
  }

  #take(position: number, text: string, start: number, end: number): FieldProblem | undefined {
    const colon = text.indexOf(':', start);
    if (colon < 0 || colon > end) return 'a header line has no colon';
    const name = text.slice(start, colon);
    if (!fieldName.test(name)) return 'a header name is malformed';
    const line = text.slice(start, end);
    if (this.#isServer && framing.test(name) && isBlank(text.charCodeAt(end - 1))) return 'a blank follows a length';
    if (notInLine.test(line)) return 'the head has a bare line break or a control character';
    this.#lines[position] = line;
    this.#fields[position] = new HeaderField(name, withoutBlanks(text, colon + 1, end));
    this.#isOwn[position] = false;
    return undefined;
  }

  #own(position: number, line: string): void {
    const copy = Buffer.from(line, 'latin1').toString('latin1');
    const { name } = this.#fields[position] as HeaderField;
    this.#lines[position] = copy;
    this.#fields[position] = new HeaderField(name, withoutBlanks(copy, name.length + 1, copy.length));
    this.#isOwn[position] = true;
  }

  #forgetFrom(count: number): void {
    this.#lines.length = count;
    this.#fields.length = count;
    this.#isOwn.length = count;
  }
}

/** Why lines are not header lines. */
export type FieldProblem =
  | 'a header line has no colon'
  | 'a header name is malformed'
  | 'a blank follows a length'
  | 'the head has a bare line break or a control character';

const framing = /^(?:content-length|transfer-encoding)$/i;
/** A control character, and with it a line break that is not CRLF. */
const notInLine = /[^\t\x20-\x7e\x80-\xff]/;

function endsLine(text: string, at: number): boolean {
  return at === text.length || (text.charCodeAt(at) === 0x0d && text.charCodeAt(at + 1) === 0x0a);
}

/** Blanks and tabs around the value of a header do not belong to it (RFC 9110 §5.5); no other character is trimmed. */
function withoutBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
