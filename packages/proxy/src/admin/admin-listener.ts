import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import type { HostPort } from '@signalbox/runtime';

export interface AdminListenerOptions {
  readonly listen: HostPort;
  /** How long a request may take to arrive, in milliseconds. */
  readonly requestMs: number;
  /** Answers a request that may be answered: a read, by somebody on this machine or who knows its address. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void;
}

const maxConnections = 64;

/** Where admin endpoints listen, of one node or of several workers. Reads only. */
export class AdminListener {
  readonly #listen: HostPort;
  readonly #server: Server;

  constructor({ listen, requestMs, answer }: AdminListenerOptions) {
    this.#listen = listen;
    this.#server = createServer({ requestTimeout: requestMs, headersTimeout: requestMs }, (request, response) => {
      if (!isTrustedHost(request.headers.host)) return sendText(response, 403, 'ask by address, or as localhost\n');
      if (request.method !== 'GET' && request.method !== 'HEAD') return sendText(response, 405, 'only GET\n');
      answer(request, response);
    });
    this.#server.maxConnections = maxConnections;
  }

  /** `http://host:port`, once it listens. */
  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** @throws Error when the address cannot be bound. */
  start(): Promise<void> {
    const { host, port } = this.#listen;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** A web page can make its own name resolve to this machine, but not an address or `localhost`. */
function isTrustedHost(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isIP(name) !== 0;
}

/** A whole answer. */
export function sendText(
  response: ServerResponse,
  status: number,
  body: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
