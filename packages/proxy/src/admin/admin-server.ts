import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import type { HostPort, Metrics } from '@signalbox/runtime';
import type { MemberReport } from '../federation/member-health.ts';
import type { Readiness } from './readiness.ts';

export interface AdminServerOptions {
  readonly listen: HostPort;
  readonly readiness: () => Readiness;
  readonly metrics: Metrics;
  /** JSON in pieces. */
  readonly configDump: () => Iterable<string>;
  /** How members of virtual servers do. */
  readonly members: () => Iterable<MemberReport>;
}

const requestTimeoutMs = 5_000;
const maxConnections = 64;

/**
 * What operators and their tools ask of a node: `/healthz` (the process runs), `/readyz` (send it requests),
 * `/metrics` (Prometheus text), `/config_dump` (what is served) and `/members` (how members of virtual servers do, by real
 * calls). Reads only, and meant for the machine itself.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxConnections = maxConnections;
  }

  /** `http://host:port`, once it listens. */
  get url(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** @throws Error when the address cannot be bound. */
  start(): Promise<void> {
    const { host, port } = this.#options.listen;
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

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (!isTrustedHost(request.headers.host)) return sendText(response, 403, 'ask by address, or as localhost\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return sendText(response, 405, 'only GET\n');
    const [path = ''] = (request.url ?? '').split('?');
    switch (path) {
      case '/healthz':
        return sendText(response, 200, 'ok\n');
      case '/readyz':
        return this.#sendReadiness(response);
      case '/metrics':
        return sendText(response, 200, this.#options.metrics.expose(), 'text/plain; version=0.0.4; charset=utf-8');
      case '/config_dump':
        return this.#sendConfigDump(response);
      case '/members':
        return this.#sendMembers(response);
      default:
        return sendText(response, 404, 'try /healthz, /readyz, /metrics, /config_dump or /members\n');
    }
  }

  #sendReadiness(response: ServerResponse): void {
    const readiness = this.#options.readiness();
    sendText(response, readiness.ready ? 200 : 503, `${JSON.stringify(readiness)}\n`, 'application/json');
  }

  #sendMembers(response: ServerResponse): void {
    const members = [...this.#options.members()].map((member) => ({
      ...member,
      since: new Date(member.since).toISOString(),
    }));
    sendText(response, 200, `${JSON.stringify({ members })}\n`, 'application/json');
  }

  #sendConfigDump(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    Readable.from(this.#options.configDump()).pipe(response);
  }
}

/** A web page can make its own name resolve to this machine, but not an address or `localhost`. */
export function isTrustedHost(host: string | undefined): boolean {
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
