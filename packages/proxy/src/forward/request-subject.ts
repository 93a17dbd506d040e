import type { HttpSubject } from '@signalbox/config';
import type { RequestHead } from '../http/exchange.ts';

/** What rules see of a request. Headers are gathered only for rules that read them. */
export class RequestSubject implements HttpSubject {
  readonly kind = 'http';
  readonly method: string;
  readonly path: string;
  readonly #head: RequestHead;
  #headers: ReadonlyMap<string, string> | undefined;

  constructor(head: RequestHead) {
    this.method = head.method;
    this.path = head.path;
    this.#head = head;
  }

  get headers(): ReadonlyMap<string, string> {
    return (this.#headers ??= headersOf(this.#head));
  }
}

const credentials: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization']);

function headersOf(head: RequestHead): ReadonlyMap<string, string> {
  const fields = head.withPrefix('');
  const headers = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const earlier = headers.get(name);
    const value = fields[i + 1] as string;
    if (!credentials.has(name)) headers.set(name, earlier === undefined ? value : `${earlier},${value}`);
  }
  return headers;
}
