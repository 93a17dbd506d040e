import { STATUS_CODES } from 'node:http';
import type { Clock } from '@signalbox/runtime';
import { fieldName } from './field.ts';

/** Writes the heads of answers as text, one character a byte. What all answers say is made once a second. */
export class AnswerHeads {
  readonly #clock: Clock;
  readonly #keep: string;
  #second = -1;
  #kept = '';
  #closing = '';

  /** @param keepAliveMs how long a connection waits for its next request. */
  constructor(clock: Clock, keepAliveMs: number) {
    this.#clock = clock;
    this.#keep = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1_000)}\r\n`;
  }

  /**
   * Status line and headers without the empty line.
   * @param headers name, value, name, value …
   * @param isLast the connection ends with this answer.
   * @throws TypeError for text that would break out of its place: whoever made the answer has not checked it.
   */
  head(status: number, headers: readonly string[], isLast: boolean): string {
    let text = statusLines[status] ?? addStatusLine(status);
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string;
      const value = headers[i + 1] as string;
      assertField(name, value);
      text += `${name}: ${value}\r\n`;
    }
    const second = Math.floor(this.#clock.now() / 1_000);
    if (second !== this.#second) this.#setDate(second);
    return text + (isLast ? this.#closing : this.#kept);
  }

  #setDate(second: number): void {
    const date = `Date: ${new Date(second * 1_000).toUTCString()}\r\n`;
    this.#second = second;
    this.#kept = date + this.#keep;
    this.#closing = `${date}Connection: close\r\n`;
  }
}

/** @throws TypeError for text that would break out of its place: whoever made the answer has not checked it. */
export function assertField(name: string, value: string): void {
  if (!fieldName.test(name) || unsafe.test(value))
    throw new TypeError(`the header ${JSON.stringify(name)} is malformed`);
}

const statusLines: string[] = [];
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;

function addStatusLine(status: number): string {
  if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError(`${status} is no final status`);
  const line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`;
  statusLines[status] = line;
  return line;
}
