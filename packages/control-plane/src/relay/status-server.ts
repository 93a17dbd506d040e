import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { HostPort, Metrics } from '@signalbox/runtime';

export interface StatusServerOptions {
  readonly listen: HostPort;
  /** What /readyz says, and whether that is a yes. */
  readonly readiness: () => { readonly ready: boolean; readonly text: string };
  readonly metrics: Metrics;
}

const requestTimeoutMs = 5_000;
const maxConnections = 64;

/** Health and metrics of a process that has no API. */
export class StatusServer {
  readonly #options: StatusServerOptions;
  readonly #server: Server;

  constructor(options: StatusServerOptions) {
    this.#options = options;
    const limits = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs };
    this.#server = createServer(limits, ({ method, url = '' }, response) => {
      if (method !== 'GET' && method !== 'HEAD') return send(response, 405, 'only GET\n');
      this.#answer(url.split('?', 1)[0] ?? '', response);
    });
    this.#server.maxConnections = maxConnections;
  }

  /** Listens. @returns the base URL. @throws Error when the address cannot be used. */
  start(): Promise<string> {
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        const { address, family, port: bound } = this.#server.address() as AddressInfo;
        resolve(`http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`);
      });
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #answer(path: string, response: ServerResponse): void {
    if (path === '/healthz') return send(response, 200, 'ok\n');
    if (path === '/metrics') {
      return send(response, 200, this.#options.metrics.expose(), 'text/plain; version=0.0.4; charset=utf-8');
    }
    if (path !== '/readyz') return send(response, 404, 'try /healthz, /readyz or /metrics\n');
    const { ready, text } = this.#options.readiness();
    send(response, ready ? 200 : 503, `${text}\n`);
  }
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'content-length': length });
  response.end(body);
}
