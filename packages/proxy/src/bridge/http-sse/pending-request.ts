import type { Clock } from '@signalbox/runtime';
import { encodeEvent } from '../../http/sse.ts';
import { memberValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { splice } from '../../mcp/splice.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import { eventType, headOf, jsonType } from '../local-answer.ts';
import { WholeRequest } from '../whole-request.ts';

/**
 * A request whose answer comes on another stream. To its handler it is answered as on Streamable HTTP: by JSON, or by events
 * once something comes before the answer.
 */
export class PendingRequest extends WholeRequest implements UpstreamExchange {
  /** Raw JSON, under which the server knows the request. */
  readonly id: string;
  /** Raw JSON of the progress token that the server is given; undefined when the client wants no progress. */
  readonly token: string | undefined;
  /** Raw JSON of the client's. */
  readonly clientToken: string | undefined;
  /** The request as the server gets it. */
  readonly body: Buffer;
  readonly #handler: UpstreamHandler;
  readonly #onOver: () => void;
  readonly #patience: Disposable | undefined;
  #streams = false;
  #over = false;

  constructor(
    clock: Clock,
    { request, message }: { readonly request: UpstreamRequest; readonly message: ScannedMessage },
    handler: UpstreamHandler,
    { token, onOver }: { readonly token: string; readonly onOver: () => void },
  ) {
    super();
    const { bytes, id, meta } = message;
    const own = meta && memberValue(bytes, meta, 'progressToken');
    this.id = id ? bytes.toString('utf8', id.start, id.end) : 'null';
    this.token = own && token;
    this.clientToken = own && bytes.toString('utf8', own.start, own.end);
    this.body = own ? splice(bytes, [{ ...own, text: token }]) : bytes;
    this.#handler = handler;
    this.#onOver = onOver;
    const { totalMs } = request.timeouts;
    const late: UpstreamError = {
      code: 'total-timeout',
      message: `no answer within ${totalMs} ms`,
      notAccepted: false,
    };
    this.#patience = totalMs > 0 ? clock.timer(totalMs, () => this.failed(late)) : undefined;
  }

  /** Something that the server says before its answer. */
  tell(message: Buffer): void {
    if (this.#over) return;
    if (!this.#streams) this.#handler.onHead(headOf(200, eventType, undefined));
    this.#streams = true;
    this.#handler.onData(Buffer.from(encodeEvent({ data: message.toString('utf8') })), false);
  }

  answer(message: Buffer): void {
    if (this.#over) return;
    this.#finish();
    if (!this.#streams) this.#handler.onHead(headOf(200, jsonType, message.length));
    const bytes = this.#streams ? Buffer.from(encodeEvent({ data: message.toString('utf8') })) : message;
    this.#handler.onData(bytes, false);
    this.#handler.onEnd();
  }

  /** The server did not take the request. */
  refused(head: UpstreamHead, body: Buffer): void {
    if (this.#over) return;
    if (this.#streams) return this.failed({ code: 'protocol', message: `status ${head.status}`, notAccepted: true });
    this.#finish();
    this.#handler.onHead(head);
    if (body.length > 0) this.#handler.onData(body, false);
    this.#handler.onEnd();
  }

  failed(error: UpstreamError): void {
    if (this.#over) return;
    this.#finish();
    this.#handler.onError(error);
  }

  pause(): void {
    // One stream carries the answers of all: a slow client is cut off where its own are buffered.
  }

  resume(): void {}

  detach(): void {}

  abort(): void {
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#patience?.[Symbol.dispose]();
    this.#onOver();
  }
}
