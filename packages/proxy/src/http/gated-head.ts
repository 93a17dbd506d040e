import { type HeaderField, joinedValue } from './field.ts';
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
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly contentLength: number | undefined;
  readonly port: number;
  readonly remoteAddress: string;
  readonly secure: boolean;
  readonly #fields: readonly HeaderField[];

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
    return joinedValue(this.#fields, name);
  }

  withPrefix(prefix: string): readonly string[] {
    const found: string[] = [];
    for (const { name, value } of this.#fields) if (name.startsWith(prefix)) found.push(name, value);
    return found;
  }
}
