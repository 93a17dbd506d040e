/** A statement and its parameters, in text format. */
export interface Statement {
  readonly text: string;
  readonly parameters: readonly (string | null)[];
}

/**
 * Reads what clients of Postgres send (protocol 3.0, "Frontend/Backend Protocol"): which statements, with which
 * parameters. So a benchmark replays what the product really does, not what somebody copied once.
 */
export class StatementTap {
  readonly #connections = new Map<number, Connection>();

  read(connection: number, bytes: Buffer): void {
    const known = this.#connections.get(connection) ?? new Connection();
    this.#connections.set(connection, known);
    known.read(bytes);
  }

  /** Forgets statements, not what was prepared. */
  clear(): void {
    for (const { statements } of this.#connections.values()) statements.length = 0;
  }

  /** The transaction in which a parameter has this value, from `begin` to `commit`. @throws Error if there is none. */
  transactionWith(value: string): readonly Statement[] {
    for (const { statements } of this.#connections.values()) {
      const at = statements.findIndex(({ parameters }) => parameters.includes(value));
      if (at < 0) continue;
      const begin = statements.findLastIndex(({ text }, index) => index < at && text.startsWith('begin'));
      const commit = statements.findIndex(({ text }, index) => index > at && text === 'commit');
      if (begin >= 0 && commit >= 0) return statements.slice(begin, commit + 1);
    }
    throw new Error('no transaction with this parameter was seen');
  }
}

class Connection {
  readonly statements: Statement[] = [];
  readonly #prepared = new Map<string, string>();
  #unread: Buffer = Buffer.alloc(0);
  #hasStarted = false;

  read(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    for (;;) {
      // The first message has no type.
      const head = this.#hasStarted ? 1 : 0;
      if (this.#unread.length < head + 4) return;
      const end = head + this.#unread.readUInt32BE(head);
      if (this.#unread.length < end) return;
      const type = head === 0 ? '' : String.fromCharCode(this.#unread[0] ?? 0);
      this.#message(type, this.#unread.subarray(head + 4, end));
      this.#hasStarted = true;
      this.#unread = this.#unread.subarray(end);
    }
  }

  #message(type: string, body: Buffer): void {
    const reader = new Reader(body);
    if (type === 'Q') this.statements.push({ text: reader.text(), parameters: [] });
    else if (type === 'P') this.#prepared.set(reader.text(), reader.text());
    else if (type === 'B') {
      reader.text();
      const text = this.#prepared.get(reader.text()) ?? '';
      const formats = Array.from({ length: reader.int16() }, () => reader.int16());
      if (formats.some((format) => format !== 0)) throw new Error('a parameter is in binary format');
      this.statements.push({ text, parameters: Array.from({ length: reader.int16() }, () => reader.value()) });
    }
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readUInt16BE(this.#at - 2);
  }

  value(): string | null {
    const length = this.#bytes.readInt32BE(this.#at);
    this.#at += 4;
    if (length < 0) return null;
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }
}
