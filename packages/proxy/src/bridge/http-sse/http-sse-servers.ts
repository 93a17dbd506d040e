import { scanBody } from '../../json/scan.ts';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { headerOf } from '../header-of.ts';
import { LocalAnswer } from '../local-answer.ts';
import { BeginSession } from './begin-session.ts';
import { SseConnection } from './sse-connection.ts';

const mark = 'sbs.';

/**
 * Servers of 2024-11-05, which speak HTTP+SSE: to whoever sends through this they look like servers of Streamable HTTP with
 * sessions. A session is a connection and lives on this node; another one, or this one after the connection is gone, says
 * 404, and the session is begun again. Everything else passes untouched.
 */
export class HttpSseServers implements Upstream {
  readonly #context: BridgeContext;
  readonly #sessions = new Map<string, SseConnection>();
  /** Servers that were found to speak HTTP+SSE, and when; the oldest give way. */
  readonly #known = new Map<string, number>();
  #sweep: Disposable | undefined;

  constructor(context: BridgeContext) {
    this.#context = context;
  }

  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const id = headerOf(request.headers, 'Mcp-Session-Id');
    if (id?.startsWith(mark) === true) return this.#inSession(id, request, handler);
    const { body } = request;
    const mayBegin =
      id === undefined &&
      request.peer?.transport !== 'streamable-http' &&
      body !== undefined &&
      body.includes(initialize);
    const scanned = mayBegin ? scanBody(body, this.#context.limits.requestScan) : undefined;
    if (scanned?.kind !== 'message' || scanned.message.method !== 'initialize' || !scanned.message.id) {
      return this.#context.upstream.dispatch(request, handler);
    }
    return this.#begin(request, { request, message: scanned.message, handler });
  }

  endSession(id: string): void {
    this.#sessions.get(id)?.close();
  }

  retain(origins: ReadonlySet<string>): void {
    this.#context.upstream.retain(origins);
  }

  close(): void {
    for (const connection of this.#sessions.values()) connection.close();
    this.#context.upstream.close();
  }

  #begin(request: UpstreamRequest, beginning: ConstructorParameters<typeof BeginSession>[1]): UpstreamExchange {
    const { clock, limits, random } = this.#context;
    const key = JSON.stringify([request.poolKey, request.origin, request.target]);
    const foundAt = this.#known.get(key);
    const isDeclared = request.peer?.transport === 'http-sse';
    const id = mark + random.bytes(15).toString('base64url');
    return new BeginSession(this.#context, beginning, {
      isKnown: isDeclared || (foundAt !== undefined && clock.monotonic() - foundAt < limits.eraHorizonMs),
      isDeclared,
      connect: () => new SseConnection(this.#context, request, () => void this.#sessions.delete(id)),
      keep: (connection) => {
        this.#know(key, foundAt);
        this.#keep(id, connection);
        return id;
      },
      forget: () => void this.#known.delete(key),
    }).begin();
  }

  #know(key: string, foundAt: number | undefined): void {
    const { clock, limits } = this.#context;
    if (foundAt !== undefined && clock.monotonic() - foundAt < limits.eraHorizonMs) return;
    const oldest = this.#known.keys().next();
    if (this.#known.size >= limits.backends && !oldest.done) this.#known.delete(oldest.value);
    this.#known.delete(key);
    this.#known.set(key, clock.monotonic());
  }

  #keep(id: string, connection: SseConnection): void {
    const { clock, limits } = this.#context;
    const [oldest] = this.#sessions.values();
    if (this.#sessions.size >= limits.bridge.connections) oldest?.close();
    this.#sessions.set(id, connection);
    this.#sweep ??= clock.interval(Math.max(1_000, limits.bridge.idleMs / 4), () => this.#closeIdle());
  }

  #closeIdle(): void {
    const before = this.#context.clock.monotonic() - this.#context.limits.bridge.idleMs;
    for (const connection of this.#sessions.values()) {
      if (connection.isQuiet && connection.usedAtMs < before) connection.close();
    }
    if (this.#sessions.size > 0) return;
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
  }

  #inSession(id: string, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const connection = this.#sessions.get(id);
    if (!connection) return new LocalAnswer(handler, { status: 404 });
    if (request.method === 'GET') return connection.listen(handler);
    if (request.method === 'DELETE') {
      connection.close();
      return new LocalAnswer(handler, { status: 204 });
    }
    const { body } = request;
    const scanned = body && scanBody(body, this.#context.limits.requestScan);
    if (!body || scanned?.kind !== 'message') return new LocalAnswer(handler, { status: 400 });
    const { message } = scanned;
    const isRequest = message.method !== undefined && message.id !== undefined;
    return isRequest ? connection.ask(request, message, handler) : connection.say(request, body, handler);
  }
}

const initialize = Buffer.from('"initialize"');
