import { get, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { HostPort, Metrics } from '@signalbox/runtime';
import { AdminListener, sendText } from '../admin/admin-listener.ts';
import type { Readiness } from '../admin/readiness.ts';
import { mergeMetrics } from './merge-metrics.ts';

/** A worker that can be asked. */
export interface AskedWorker {
  readonly index: number;
  readonly adminUrl: string | undefined;
}

export interface SupervisorAdminOptions {
  readonly listen: HostPort;
  /** How many workers there are to be. */
  readonly count: number;
  readonly serving: () => readonly AskedWorker[];
  /** The process is told to end. */
  readonly stopping: () => boolean;
  /** Of this process. */
  readonly metrics: Metrics;
  /** How long a worker may take to answer, in milliseconds. */
  readonly askMs: number;
}

/** Bound of what is held of one answer; what may be larger is passed on as it comes. */
const maxHeldBytes = 64 * 1024 * 1024;

/**
 * The admin endpoints of several workers as one: metrics labelled by worker, ready when all are, `/config_dump` and
 * `/members` of each. `?worker=N` asks one alone. Reads only.
 */
export class SupervisorAdmin {
  readonly #options: SupervisorAdminOptions;
  readonly #listener: AdminListener;

  constructor(options: SupervisorAdminOptions) {
    this.#options = options;
    const { listen, askMs: requestMs } = options;
    this.#listener = new AdminListener({
      ...{ listen, requestMs },
      answer: (request, response) => {
        this.#answer(request, response).catch(() => {
          if (response.headersSent) response.destroy();
          else sendText(response, 502, 'the worker does not answer\n');
        });
      },
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

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (!paths.has(pathname)) return sendText(response, 404, `try ${[...paths].join(', ')}; ?worker=0 asks one\n`);
    const one = searchParams.get('worker');
    if (one !== null) return this.#passOn(response, pathname, one);
    switch (pathname) {
      case '/healthz':
        return sendText(response, 200, 'ok\n');
      case '/readyz':
        return this.#sendReadiness(response);
      case '/metrics':
        return this.#sendMetrics(response);
      default:
        return this.#sendEach(response, pathname);
    }
  }

  async #sendReadiness(response: ServerResponse): Promise<void> {
    const { count, serving, stopping } = this.#options;
    const workers = serving();
    const answers = await Promise.all(
      workers.map(async (worker) => ({ worker, said: await this.#readinessOf(worker) })),
    );
    const missing = count - workers.length;
    const reasons = [
      ...(stopping() ? ['the node is stopping'] : []),
      ...(missing > 0 ? [`${missing} of ${count} workers do not run`] : []),
      ...answers.flatMap(({ worker, said }) => said.reasons.map((reason) => `worker ${worker.index}: ${reason}`)),
    ];
    const ready = !stopping() && missing <= 0 && answers.every(({ said }) => said.ready);
    sendText(response, ready ? 200 : 503, `${JSON.stringify({ ready, reasons })}\n`, 'application/json');
  }

  async #readinessOf(worker: AskedWorker): Promise<Readiness> {
    try {
      return JSON.parse(await this.#read(worker, '/readyz')) as Readiness;
    } catch {
      return { ready: false, reasons: ['it does not answer'] };
    }
  }

  /** A worker that says nothing is missing, and the others are there. */
  async #sendMetrics(response: ServerResponse): Promise<void> {
    const { serving, metrics } = this.#options;
    const texts = await Promise.all(
      serving().map(async (worker) => ({
        worker: worker.index,
        text: await this.#read(worker, '/metrics').catch(() => ''),
      })),
    );
    const text = mergeMetrics([{ worker: undefined, text: metrics.expose() }, ...texts]);
    sendText(response, 200, text, 'text/plain; version=0.0.4; charset=utf-8');
  }

  /** `{"workers":[…]}`, each as the worker itself says it and as it comes. */
  async #sendEach(response: ServerResponse, path: string): Promise<void> {
    const answers = await Promise.all(this.#options.serving().map((worker) => this.#ask(worker, path)));
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.write('{"workers":[');
    for (const [i, answer] of answers.entries()) {
      if (i > 0) response.write(',');
      await pipeline(answer, response, { end: false });
    }
    response.end(']}\n');
  }

  async #passOn(response: ServerResponse, path: string, index: string): Promise<void> {
    const worker = this.#options.serving().find((each) => String(each.index) === index);
    if (!worker) return sendText(response, 404, 'no worker of that number runs\n');
    const answer = await this.#ask(worker, path);
    const type = answer.headers['content-type'] ?? 'text/plain';
    response.writeHead(answer.statusCode ?? 502, { 'content-type': type, 'cache-control': 'no-store' });
    await pipeline(answer, response);
  }

  async #read(worker: AskedWorker, path: string): Promise<string> {
    let text = '';
    const answer = await this.#ask(worker, path);
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
      text += chunk;
      if (text.length > maxHeldBytes) throw new Error('the answer is too large');
    }
    return text;
  }

  #ask({ adminUrl = '' }: AskedWorker, path: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asked = get(`${adminUrl}${path}`, { timeout: this.#options.askMs, agent: false }, resolve);
      asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
      asked.on('error', reject);
    });
  }
}

const paths: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics', '/config_dump', '/members']);
