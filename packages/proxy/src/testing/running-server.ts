import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { Exchange } from '../http/exchange.ts';
import {
  defaultHttpServerLimits,
  type Http2Mode,
  type HttpServer,
  type HttpServerLimits,
  type JudgeHost,
  type RefusedRequest,
} from '../http/http-server.ts';
import { createHttpServer, type HttpCodec, httpCodecs } from '../http/http-codecs.ts';
import { Http2Client } from './http2-client.ts';
import { RawClient } from './raw-client.ts';

/** What a client of a test speaks: HTTP/1.1 to the codec of that name, or HTTP/2. */
export type TestedCodec = HttpCodec | 'http2';
export const testedCodecs: readonly TestedCodec[] = [...httpCodecs, 'http2'];

/** What tests do with a client, whatever it speaks; see {@link RawClient}. */
export interface TestClient extends Disposable {
  received: string;
  readonly socket: { destroy(): void; pause(): void; resume(): void };
  readonly closed: Promise<string>;
  send(text: string): TestClient;
  receives(text: string): Promise<string>;
  until(condition: (received: string) => boolean): Promise<string>;
}

export interface RunningServerOptions {
  /** `own` unless given. */
  readonly codec?: HttpCodec;
  /** `off` unless given. */
  readonly http2?: Http2Mode;
  readonly limits?: Partial<HttpServerLimits>;
  readonly judgeHost?: JudgeHost;
  /** 0, or omitted: the system chooses. */
  readonly port?: number;
}

/** The HTTP codec on a port of its own, with hands on its clock and its metrics. */
export class RunningServer implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly logger = new MemoryLogger();
  readonly server: HttpServer;
  /** Exchanges that reached the handler. */
  readonly exchanges: Exchange[] = [];
  /** Requests that did not. */
  readonly refused: RefusedRequest[] = [];
  readonly #metrics = new Metrics();
  readonly #clients: Disposable[] = [];
  readonly #http2: Http2Mode;
  #port = 0;

  private constructor(onExchange: (exchange: Exchange) => void, options: RunningServerOptions) {
    const limits = { ...defaultHttpServerLimits, ...options.limits };
    const judgeHost = options.judgeHost ?? (() => undefined);
    const { clock, logger } = this;
    const onRefused = (refused: RefusedRequest) => void this.refused.push(refused);
    const metrics = this.#metrics;
    const { codec = 'own', http2 = 'off' } = options;
    this.#http2 = http2;
    this.server = createHttpServer(
      codec,
      { limits, http2, judgeHost, onRefused, clock, logger, metrics },
      (exchange) => {
        this.exchanges.push(exchange);
        onExchange(exchange);
      },
    );
  }

  static async start(
    onExchange: (exchange: Exchange) => void,
    options: RunningServerOptions = {},
  ): Promise<RunningServer> {
    const running = new RunningServer(onExchange, options);
    running.#port = (await running.server.listen('127.0.0.1', options.port ?? 0)).port;
    return running;
  }

  /** Starts servers of one codec: for tests that run on each. */
  static of(tested: TestedCodec): { readonly start: typeof RunningServer.start } {
    const codec: RunningServerOptions = tested === 'http2' ? { http2: 'always' } : { codec: tested };
    return { start: (onExchange, options) => RunningServer.start(onExchange, { ...options, ...codec }) };
  }

  get port(): number {
    return this.#port;
  }

  /** A client of HTTP/1.1. */
  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.#port);
    this.#clients.push(client);
    return client;
  }

  async connectHttp2(): Promise<Http2Client> {
    const client = await Http2Client.connect(this.#port);
    this.#clients.push(client);
    return client;
  }

  /** A client of what the server speaks at best. */
  dial(): Promise<TestClient> {
    return this.#http2 === 'always' ? this.connectHttp2() : this.connect();
  }

  /** Lets time pass until the connection of a client is closed. @returns what the client received. */
  async closedInTime(client: TestClient): Promise<string> {
    let isClosed = false;
    void client.closed.then(() => void (isClosed = true));
    while (!isClosed) {
      await this.clock.advance(10);
      await turn();
    }
    return client.closed;
  }

  /** Sum over all series of a metric. */
  value(metric: string): number {
    const series = this.#metrics
      .expose()
      .split('\n')
      .filter((line) => line.startsWith(metric));
    return series.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client[Symbol.dispose]();
    await this.server.close(AbortSignal.abort());
  }
}

/** Answers with the body it got. */
export function echo(exchange: Exchange): void {
  void Promise.resolve(exchange.body(1_000_000)).then((body) => {
    if (body) exchange.respond(200, ['Content-Type', 'text/plain'], body);
  });
}

/** A request with a body, as it is sent. @param headers whole lines. */
export function post(body: string, headers = ''): string {
  return `POST /mcp?x=1 HTTP/1.1\r\nHost: a.test\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** A request without a body, as it is sent. */
export const get = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

/** Status of the first answer received. */
export function statusOf(received: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1]);
}

/** What was received behind the first head. */
export function bodyOf(received: string): string {
  return received.slice(received.indexOf('\r\n\r\n') + 4);
}

/** Lets the loop turn once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Lets the loop turn until the server has so many connections. */
export async function connections(test: RunningServer, count: number): Promise<void> {
  while (test.server.connections !== count) await turn();
}
