import type { SeededRandom } from '@signalbox/runtime/testing';

/** Messages that clients might send, and what somebody makes of them who wants two readers to disagree. */
export class Inputs {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  next(): Buffer {
    const count = this.#chance(0.08) ? Math.floor(this.#random.fraction() * 3) : undefined;
    const text =
      count === undefined ? this.#message() : `[${Array.from({ length: count }, () => this.#message()).join(',')}]`;
    const bytes = Buffer.from(text, 'utf8');
    return this.#chance(0.25) ? this.#damaged(bytes) : bytes;
  }

  #message(): string {
    const members = [
      this.#member('jsonrpc', this.#pick(['"2.0"', '"2.0"', '"2.0"', '2.0', '"\\u0032.0"'])),
      ...(this.#chance(0.9) ? [this.#member('id', this.#id())] : []),
      ...(this.#chance(0.95) ? [this.#member('method', this.#string(this.#pick(methods)))] : []),
      ...(this.#chance(0.9) ? [this.#member('params', this.#params())] : []),
      ...(this.#chance(0.06) ? [this.#member('result', this.#value(2))] : []),
      ...(this.#chance(0.04) ? [this.#member('error', this.#value(2))] : []),
    ];
    return this.#object(this.#attacked(members, messageKeys));
  }

  #params(): string {
    if (this.#chance(0.06)) return this.#value(2);
    const members = [
      this.#member('name', this.#chance(0.93) ? this.#string(this.#pick(names)) : this.#value(1)),
      ...(this.#chance(0.7) ? [this.#member('arguments', this.#chance(0.9) ? this.#arguments() : this.#value(1))] : []),
      ...(this.#chance(0.3) ? [this.#member('uri', this.#string('file:///etc/passwd'))] : []),
      ...(this.#chance(0.4) ? [this.#member('_meta', this.#value(2))] : []),
    ];
    return this.#object(this.#attacked(members, paramsKeys));
  }

  #arguments(): string {
    return this.#object(
      Array.from({ length: Math.floor(this.#random.fraction() * 4) }, () =>
        this.#member(this.#pick([...names, ...messageKeys, ...paramsKeys]), this.#value(3)),
      ),
    );
  }

  /** A key again, in another spelling or as it is; and the order that nobody expects. */
  #attacked(members: string[], keys: readonly string[]): string[] {
    while (this.#chance(0.12)) {
      const key = this.#pick(keys);
      const spelled = this.#pick([
        key,
        key.toUpperCase(),
        `${key} `,
        key.replace('s', 'ſ'),
        `${key}\u0000`,
        '__proto__',
      ]);
      const value = this.#chance(0.7) ? this.#string(this.#pick([...names, ...methods])) : this.#value(2);
      members.splice(Math.floor(this.#random.fraction() * (members.length + 1)), 0, this.#member(spelled, value));
    }
    return this.#chance(0.3) ? members.toReversed() : members;
  }

  #object(members: readonly string[]): string {
    const comma = this.#chance(0.01) ? ',,' : ',';
    const end = this.#chance(0.01) ? ',' : '';
    return `{${this.#blank()}${members.join(comma)}${end}${this.#blank()}}`;
  }

  #member(key: string, value: string): string {
    return `${this.#string(key)}${this.#blank()}:${this.#blank()}${value}${this.#blank()}`;
  }

  #id(): string {
    return this.#mostly(
      ['1', '"1"', '0', '-1', '9007199254740993', '1.0', '1e0', 'null', '"a\\u0062"', '[]', '{}'],
      ['01', '+1'],
    );
  }

  #value(depth: number): string {
    const kind = Math.floor(this.#random.fraction() * (depth > 0 ? 8 : 6));
    switch (kind) {
      case 0:
        return this.#string(this.#pick(names));
      case 1:
        return this.#mostly(numbers, ['1.', '.5', '0x1', 'NaN', '01', '+1']);
      case 2:
        return this.#mostly(['true', 'false', 'null'], ['True', 'nul', 'undefined']);
      case 3:
        return this.#string('');
      case 4:
        return '{}';
      case 5:
        return '[]';
      case 6:
        return `[${Array.from({ length: 3 }, () => this.#value(depth - 1)).join(',')}]`;
      default:
        return this.#object(
          Array.from({ length: 2 }, () => this.#member(this.#pick(paramsKeys), this.#value(depth - 1))),
        );
    }
  }

  /** A string, some of its characters escaped in one of the ways that there are. */
  #string(text: string): string {
    const escapes = this.#chance(0.2);
    const characters = Array.from(text, (character) => {
      const code = character.charCodeAt(0);
      const mustEscape = code < 0x20 || character === '"' || character === '\\';
      if (!mustEscape && !(escapes && this.#chance(0.3))) return character;
      return Array.from({ length: character.length }, (_, at) => this.#escape(character.charCodeAt(at))).join('');
    });
    if (this.#chance(0.02))
      characters.push(this.#pick(['\\ud800', '\\udc00\\ud800', '\\u0000', '\\x41', '\\/', '\t', '\u2028']));
    return `"${characters.join('')}"`;
  }

  #escape(code: number): string {
    const hex = code.toString(16).padStart(4, '0');
    return `\\u${this.#chance(0.5) ? hex.toUpperCase() : hex}`;
  }

  #blank(): string {
    return this.#chance(0.12)
      ? this.#mostly([' ', '\n', '\r\n', '\t', '\r', '  '], ['\u00a0', '\f', '/**/', '#\n'])
      : '';
  }

  #damaged(bytes: Buffer): Buffer {
    const at = Math.floor(this.#random.fraction() * bytes.length);
    switch (Math.floor(this.#random.fraction() * 6)) {
      case 0:
        return bytes.subarray(0, at);
      case 1: {
        const changed = Buffer.from(bytes);
        changed[at] = Math.floor(this.#random.fraction() * 256);
        return changed;
      }
      case 2:
        return Buffer.concat([bytes, Buffer.from(this.#pick(['{}', ' x', '\u0000', '\n', ',', ']']))]);
      case 3:
        return Buffer.concat([this.#pick([bom, Buffer.from([0xff, 0xfe]), Buffer.from(' ')]), bytes]);
      case 4:
        return Buffer.concat([bytes.subarray(0, at), this.#pick(badBytes), bytes.subarray(at)]);
      default:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1))]);
    }
  }

  #chance(probability: number): boolean {
    return this.#random.fraction() < probability;
  }

  /** Something that JSON has; now and then something that only looks like it. */
  #mostly(sound: readonly string[], broken: readonly string[]): string {
    return this.#pick(this.#chance(0.01) ? broken : sound);
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random.fraction() * from.length)] as T;
  }
}

const messageKeys = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'];
const paramsKeys = ['name', 'arguments', '_meta', 'uri'];
const methods = ['tools/call', 'tools/list', 'resources/read', 'initialize', 'notifications/cancelled', ''];
const names = ['echo', 'delete_all', 'é', '😀', 'a"b', 'a\\b', 'a\nb', 'ſ', 'K', '', ' echo', 'constructor'];
const numbers = ['0', '-0', '1e400', '-1E-400', '123456789012345678901234567890', '0.1', '7'];
const bom = Buffer.from([0xef, 0xbb, 0xbf]);
const badBytes = [[0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80], [0xe2, 0x82]].map((list) =>
  Buffer.from(list),
);
