import { HeaderField, joinedValue } from './field.ts';
import type { RequestHead } from './exchange.ts';
import type { PassedHead } from './request-gate.ts';

/** Ends of the connection that a request came over. */
export interface ConnectionAddresses {
  /** Port of the listener. */
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  /** Of TLS alone. */
  readonly encrypted?: boolean;
}

/** A head that passed the gate, with headers looked up on demand. */
export class GatedHead implements RequestHead {
  readonly method: string;
  path: string;
  readonly query: string;
  readonly host: string;
  readonly contentLength: number | undefined;
  readonly port: number;
  readonly remoteAddress: string;
  readonly secure: boolean;
  /** Undefined once it is compact. */
  #fields: readonly HeaderField[] | undefined;
  /** The path and all fields, a line each, once it is compact. */
  #text = '';

  constructor(method: string, head: PassedHead, addresses: ConnectionAddresses) {
    this.method = method;
    this.path = head.path;
    this.query = head.query;
    this.host = head.host;
    this.contentLength = head.contentLength;
    this.port = addresses.localPort ?? 0;
    this.remoteAddress = addresses.remoteAddress ?? '';
    this.secure = addresses.encrypted === true;
    this.#fields = head.fields;
  }

  header(name: string): string | undefined {
    return joinedValue(this.#fields ?? this.#readText(), name);
  }

  withPrefix(prefix: string): readonly string[] {
    const found: string[] = [];
    for (const { name, value } of this.#fields ?? this.#readText())
      if (name.startsWith(prefix)) found.push(name, value);
    return found;
  }

  /**
   * Goes on with less memory, for a request that stays open: one text in place of an object and a text for each field.
   * Fields are read from it anew whenever one is asked for.
   */
  compact(): void {
    if (!this.#fields) return;
    const lines = this.#fields.map(({ name, value }) => `${name}:${value}`);
    this.#text = [this.path, ...lines].join('\n');
    this.path = this.#text.slice(0, this.path.length);
    this.#fields = undefined;
  }

  #readText(): readonly HeaderField[] {
    const [, ...lines] = this.#text.split('\n');
    return lines.map((line) => {
      const colon = line.indexOf(':');
      return new HeaderField(line.slice(0, colon), line.slice(colon + 1));
    });
  }
}
