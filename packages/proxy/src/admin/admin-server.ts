import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { HostPort, Metrics } from '@signalbox/runtime';
import type { MemberReport } from '../federation/member-health.ts';
import { AdminListener, sendText } from './admin-listener.ts';
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

const requestMs = 5_000;

/**
 * What operators and their tools ask of a node: `/healthz` (the process runs), `/readyz` (send it requests),
 * `/metrics` (Prometheus text), `/config_dump` (what is served) and `/members` (how members of virtual servers do, by real
 * calls). Reads only, and meant for the machine itself.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #listener: AdminListener;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    const { listen } = options;
    this.#listener = new AdminListener({
      listen,
      requestMs,
      answer: (request, response) => this.#answer(request, response),
    });
  }

  /** `http://host:port`, once it listens. */
  get url(): string {
    return this.#listener.url;
  }

  /** @throws Error when the address cannot be bound. */
  start(): Promise<void> {
    return this.#listener.start();
  }

  stop(): Promise<void> {
    return this.#listener.stop();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
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
