import { encodeEvent, type SseEvent, type SseHandler, SseParser } from '../../http/sse.ts';
import { memberValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { splice } from '../../mcp/splice.ts';
import { traceOf } from '../../mcp/upstream-request.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import { ActingExchange } from '../acting-exchange.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { eventType, headOf, LocalAnswer } from '../local-answer.ts';
import { messagesIn } from '../messages-in.ts';
import { PendingRequest } from './pending-request.ts';

/** Where a server is: what requests to it have in common. */
export type ServerPlace = Pick<UpstreamRequest, 'origin' | 'poolKey' | 'target' | 'timeouts' | 'peer'>;

/**
 * A session at a server of 2024-11-05 (HTTP+SSE): one GET stream that carries everything the server says, and POSTs to the
 * endpoint that its first event names. Answers find their requests by id, progress by a token that is the connection's
 * own. What the server asks goes to the newest request under way: this transport does not say which one it is about.
 */
export class SseConnection implements UpstreamHandler, SseHandler {
  /** Monotonic time of the last request. */
  usedAtMs: number;
  readonly #context: BridgeContext;
  readonly #place: ServerPlace;
  readonly #onOver: () => void;
  readonly #parser: SseParser;
  readonly #pending = new Map<string, PendingRequest>();
  /** GET streams of clients, the oldest first: it hears what is about no request. */
  readonly #listeners = new Set<UpstreamHandler>();
  #stream: UpstreamExchange | undefined;
  #onOpened: ((failure: UpstreamError | undefined) => void) | undefined;
  #patience: Disposable | undefined;
  /** Path and query that messages are posted to. */
  #endpoint: string | undefined;
  #tokens = 0;
  #over = false;

  constructor(context: BridgeContext, place: ServerPlace, onOver: () => void) {
    this.#context = context;
    this.#place = place;
    this.#onOver = onOver;
    this.#parser = new SseParser(context.limits.eventBytes, this);
    this.usedAtMs = context.clock.monotonic();
  }

  /** Nothing is under way and nobody listens. */
  get isQuiet(): boolean {
    return this.#pending.size === 0 && this.#listeners.size === 0;
  }

  /** Opens the stream and waits for its endpoint. @param onOpened hears why there is none, once. */
  open(onOpened: (failure: UpstreamError | undefined) => void): void {
    const { clock, limits, upstream } = this.#context;
    this.#onOpened = onOpened;
    this.#patience = clock.timer(limits.headMs, () => this.#break(noEndpoint));
    this.#stream = upstream.dispatch(
      {
        ...this.#place,
        ...{ method: 'GET', headers: ['Accept', 'text/event-stream'], body: undefined, safeToResend: true },
        timeouts: { ...this.#place.timeouts, idleMs: limits.streamMs, totalMs: 0 },
      },
      this,
    );
    if (this.#over) this.#stream.abort();
  }

  /** A request of the client: its answer comes on the stream. */
  ask(request: UpstreamRequest, message: ScannedMessage, handler: UpstreamHandler): UpstreamExchange {
    this.#tokens += 1;
    const pending = new PendingRequest(this.#context.clock, { request, message }, handler, {
      token: `"sbt.${this.#tokens}"`,
      onOver: () => void this.#pending.delete(pending.id),
    });
    this.#pending.set(pending.id, pending);
    this.#post(request, pending.body, {
      onRefused: (head, body) => pending.refused(head, body),
      onError: (error) => pending.failed(error),
    });
    return pending;
  }

  /** A notification of the client, or its answer. */
  say(request: UpstreamRequest, body: Buffer, handler: UpstreamHandler): UpstreamExchange {
    let accepted: UpstreamExchange | undefined;
    this.#post(request, body, {
      onAccepted: () => (accepted = new LocalAnswer(handler, { status: 202 })),
      onRefused: (head) => (accepted = new LocalAnswer(handler, { status: head.status })),
      onError: (error) => handler.onError(error),
    });
    const nothing = (): void => undefined;
    return new ActingExchange({ pause: nothing, resume: nothing, detach: nothing, abort: () => accepted?.abort() });
  }

  /** A GET stream of the client. */
  listen(handler: UpstreamHandler): UpstreamExchange {
    this.#listeners.add(handler);
    queueMicrotask(() => {
      if (this.#listeners.has(handler)) handler.onHead(headOf(200, eventType, undefined));
    });
    const nothing = (): void => undefined;
    const abort = (): void => void this.#listeners.delete(handler);
    return new ActingExchange({ pause: nothing, resume: nothing, detach: nothing, abort });
  }

  close(): void {
    this.#break({ code: 'closed-early', message: 'the session is over', notAccepted: false });
  }

  onHead(head: UpstreamHead): void {
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (head.status === 200 && isStream) this.#stream?.detach();
    else this.#break(noEndpoint);
  }

  onData(chunk: Buffer): void {
    if (!this.#over) this.#parser.push(chunk);
  }

  onEnd(): void {
    this.#break({ code: 'closed-early', message: 'the server ended its stream', notAccepted: false });
  }

  onError(error: UpstreamError): void {
    this.#break(error);
  }

  onTooLarge(): void {
    this.#break({ code: 'protocol', message: 'an event of the server is too large', notAccepted: false });
  }

  onEvent({ event, data, dataBytes }: SseEvent): void {
    if (this.#over || data === undefined || dataBytes === undefined) return;
    if (event === 'endpoint') return this.#opened(data);
    // A view into memory of the stream, which messages may outlive.
    for (const message of messagesIn(Buffer.from(dataBytes), this.#context.limits.responseScan)) this.#hear(message);
  }

  #opened(endpoint: string): void {
    if (this.#endpoint !== undefined) return;
    const { origin, target } = this.#place;
    const url = URL.parse(endpoint, origin + target);
    // Another origin would be sent what only this server may see.
    if (url?.origin !== new URL(origin).origin) return this.#break(noEndpoint);
    this.#endpoint = url.pathname + url.search;
    this.#settle(undefined);
  }

  #settle(failure: UpstreamError | undefined): void {
    this.#patience?.[Symbol.dispose]();
    const onOpened = this.#onOpened;
    this.#onOpened = undefined;
    onOpened?.(failure);
  }

  #hear({ bytes, id, method, params }: ScannedMessage): void {
    const idText = id && bytes.toString('utf8', id.start, id.end);
    if (method === undefined) {
      if (idText !== undefined) this.#pending.get(idText)?.answer(bytes);
    } else if (method === 'notifications/progress') {
      const token = params && memberValue(bytes, params, 'progressToken');
      const text = token && bytes.toString('utf8', token.start, token.end);
      for (const pending of this.#pending.values()) {
        if (token && pending.token === text && pending.clientToken !== undefined) {
          pending.tell(splice(bytes, [{ ...token, text: pending.clientToken }]));
        }
      }
    } else if (method === 'ping' && idText !== undefined) {
      this.#pong(idText);
    } else {
      this.#tell(bytes, id !== undefined || aboutRequests.has(method));
    }
  }

  /** What is about no request goes to the client's own stream, and what is about one too when none is under way. */
  #tell(bytes: Buffer, isAboutRequest: boolean): void {
    const newest = isAboutRequest ? [...this.#pending.values()].at(-1) : undefined;
    if (newest) return newest.tell(bytes);
    const [listener] = this.#listeners;
    listener?.onData(Buffer.from(encodeEvent({ data: bytes.toString('utf8') })), false);
  }

  #pong(id: string): void {
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
    this.#post({ ...this.#place, method: 'POST', headers: [], body, safeToResend: false }, body, {
      onRefused: () => undefined,
      onError: () => undefined,
    });
  }

  #post(request: UpstreamRequest, body: Buffer, heard: Heard): void {
    this.usedAtMs = this.#context.clock.monotonic();
    const { upstream, limits } = this.#context;
    upstream.dispatch(
      {
        ...this.#place,
        ...{ method: 'POST', target: this.#endpoint ?? this.#place.target, body, safeToResend: false },
        headers: ['Content-Type', 'application/json', ...traceOf(request.headers)],
        timeouts: { ...this.#place.timeouts, totalMs: limits.headMs },
      },
      new Posted(heard, limits.heldAnswerBytes),
    );
  }

  #break(error: UpstreamError): void {
    if (this.#over) return;
    this.#over = true;
    this.#parser.end();
    this.#stream?.abort();
    this.#settle(error);
    for (const pending of this.#pending.values()) pending.failed(error);
    for (const listener of this.#listeners) listener.onEnd();
    this.#listeners.clear();
    this.#onOver();
  }
}

const noEndpoint: UpstreamError = {
  code: 'protocol',
  message: 'the server offers no endpoint of HTTP+SSE',
  notAccepted: true,
};

/** Notifications that mostly belong to what is under way. */
const aboutRequests: ReadonlySet<string> = new Set(['notifications/message', 'notifications/cancelled']);

/** What became of a POST: exactly one comes. */
interface Heard {
  readonly onAccepted?: () => void;
  readonly onRefused: (head: UpstreamHead, body: Buffer) => void;
  readonly onError: (error: UpstreamError) => void;
}

/** The answer to a POST, which says only whether the message was taken. */
class Posted implements UpstreamHandler {
  readonly #heard: Heard;
  readonly #maxBytes: number;
  #head: UpstreamHead | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(heard: Heard, maxBytes: number) {
    this.#heard = heard;
    this.#maxBytes = maxBytes;
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
  }

  onData(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= this.#maxBytes) this.#chunks.push(chunk);
  }

  onEnd(): void {
    const head = this.#head as UpstreamHead;
    if (head.status >= 200 && head.status < 300) this.#heard.onAccepted?.();
    else this.#heard.onRefused(head, Buffer.concat(this.#chunks));
  }

  onError(error: UpstreamError): void {
    this.#heard.onError(error);
  }
}
