import type { ScannedMessage } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { headOf } from '../local-answer.ts';
import { WholeRequest } from '../whole-request.ts';
import type { SseConnection } from './sse-connection.ts';

/** An `initialize`, and who hears the answer. */
export interface Beginning {
  readonly request: UpstreamRequest;
  readonly message: ScannedMessage;
  readonly handler: UpstreamHandler;
}

/** What a beginning needs of the servers of HTTP+SSE. */
export interface Opener {
  /** The server is known to speak HTTP+SSE. */
  readonly isKnown: boolean;
  /** Somebody says so: nothing else is tried. */
  readonly isDeclared: boolean;
  /** A connection, which is nobody's until it is kept. */
  connect(): SseConnection;
  /** The server speaks HTTP+SSE. @returns the name of its session. */
  keep(connection: SseConnection): string;
  /** It does not. */
  forget(): void;
}

/**
 * `initialize` at a server whose transport is not known: it is posted, and where that is refused with 400, 404 or 405 and no
 * word of JSON-RPC, a stream is asked for, whose `endpoint` event tells a server of HTTP+SSE (MCP 2025-03-26,
 * backwards compatibility). One that is known as such is not posted to first.
 */
export class BeginSession extends WholeRequest implements UpstreamExchange, UpstreamHandler {
  readonly #context: BridgeContext;
  readonly #beginning: Beginning;
  readonly #opener: Opener;
  #exchange: UpstreamExchange | undefined;
  #connection: SseConnection | undefined;
  /** The refusal, which becomes the answer if there is no stream either. */
  #refusal: UpstreamHead | undefined;
  #chunks: Buffer[] = [];
  #held = 0;
  #aborted = false;

  constructor(context: BridgeContext, beginning: Beginning, opener: Opener) {
    super();
    this.#context = context;
    this.#beginning = beginning;
    this.#opener = opener;
  }

  begin(): this {
    if (this.#opener.isKnown) this.#openStream();
    else this.#exchange = this.#context.upstream.dispatch(this.#beginning.request, this);
    return this;
  }

  onHead(head: UpstreamHead): void {
    if (mayBeOlder.includes(head.status)) this.#refusal = head;
    else this.#beginning.handler.onHead(head);
  }

  onData(chunk: Buffer, lent: boolean): boolean | void {
    if (!this.#refusal) return this.#beginning.handler.onData(chunk, lent);
    this.#held += chunk.length;
    if (this.#held <= this.#context.limits.heldAnswerBytes) this.#chunks.push(Buffer.from(chunk));
  }

  onEnd(): void {
    if (!this.#refusal) return this.#beginning.handler.onEnd();
    const body = Buffer.concat(this.#chunks);
    if (scanBody(body, this.#context.limits.responseScan).kind === 'message') return this.#refuse();
    this.#openStream();
  }

  onError(error: UpstreamError): void {
    this.#beginning.handler.onError(error);
  }

  pause(): void {
    this.#exchange?.pause();
  }

  resume(): void {
    this.#exchange?.resume();
  }

  detach(): void {
    this.#exchange?.detach();
  }

  abort(): void {
    this.#aborted = true;
    this.#exchange?.abort();
    this.#connection?.close();
  }

  #openStream(): void {
    const connection = this.#opener.connect();
    this.#connection = connection;
    connection.open((failure) => {
      if (this.#aborted) return;
      if (!failure) return this.#initialize(connection);
      this.#connection = undefined;
      this.#opener.forget();
      if (this.#opener.isDeclared) this.#beginning.handler.onError(failure);
      else if (this.#refusal) this.#refuse();
      // It was of this transport before: what it is now shows when it is posted to.
      else this.#exchange = this.#context.upstream.dispatch(this.#beginning.request, this.#beginning.handler);
    });
  }

  #initialize(connection: SseConnection): void {
    const { request, message, handler } = this.#beginning;
    const session = this.#opener.keep(connection);
    this.#exchange = connection.ask(request, message, {
      onHead: (head) => handler.onHead(inSession(head, session)),
      onData: (chunk, lent) => handler.onData(chunk, lent),
      onEnd: () => {
        // From here on the session is its client's.
        this.#connection = undefined;
        handler.onEnd();
      },
      onError: (error) => handler.onError(error),
    });
  }

  #refuse(): void {
    const { handler } = this.#beginning;
    const body = Buffer.concat(this.#chunks);
    handler.onHead(this.#refusal as UpstreamHead);
    if (body.length > 0) handler.onData(body, false);
    handler.onEnd();
  }
}

/** How servers of HTTP+SSE refuse a POST to the place of their stream. */
const mayBeOlder: readonly number[] = [400, 404, 405];

function inSession(head: UpstreamHead, session: string): UpstreamHead {
  const type = head.header('content-type') ?? '';
  return headOf(head.status, { 'content-type': type, 'mcp-session-id': session }, head.contentLength);
}
