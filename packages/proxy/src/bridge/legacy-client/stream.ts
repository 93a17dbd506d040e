import { encodeEvent, type SseEvent, type SseHandler, SseParser } from '../../http/sse.ts';
import { memberValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import { metaKeys } from '../../mcp/codec/rev2026-07-28.ts';
import { splice, withoutMembers } from '../../mcp/splice.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import type { BridgedSession } from './session.ts';
import { headOf } from '../local-answer.ts';
import { metaMembers, modernRequestHeaders } from './to-modern.ts';
import { WholeRequest } from '../whole-request.ts';

/**
 * The GET stream of a legacy client at a modern server: a `subscriptions/listen` for every change of a list and for the
 * resources that the client has subscribed to. When those change, another listen takes the place of the first as soon
 * as the server has acknowledged it.
 */
export class BridgedStream extends WholeRequest implements UpstreamExchange {
  readonly #context: BridgeContext;
  readonly #session: BridgedSession;
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  /** The newest last; older ones are heard until it is acknowledged. */
  #listens: Listen[] = [];
  #begun = false;
  #over = false;

  constructor(context: BridgeContext, session: BridgedSession, request: UpstreamRequest, handler: UpstreamHandler) {
    super();
    this.#context = context;
    this.#session = session;
    this.#request = request;
    this.#handler = handler;
  }

  begin(): this {
    this.#session.streams.add(this);
    this.listenAnew();
    return this;
  }

  /** What the client has subscribed to is another now. */
  listenAnew(): void {
    if (this.#over) return;
    const { random, limits, upstream } = this.#context;
    const id = JSON.stringify(`sbl.${random.bytes(9).toString('base64url')}`);
    const notifications = {
      ...{ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true },
      resourceSubscriptions: [...this.#session.subscriptions],
    };
    const meta = metaMembers(this.#session.facts);
    const params = `{"notifications":${JSON.stringify(notifications)},"_meta":{${meta}}}`;
    const listen = new Listen(this, limits.eventBytes, limits.responseScan);
    listen.exchange = upstream.dispatch(
      {
        ...this.#request,
        method: 'POST',
        headers: modernRequestHeaders({ method: 'subscriptions/listen', name: undefined, uri: undefined }),
        body: Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"subscriptions/listen","params":${params}}`),
      },
      listen,
    );
    this.#listens.push(listen);
  }

  /** The session is over. */
  finish(): void {
    if (this.#over) return;
    this.#close();
    if (this.#begun) this.#handler.onEnd();
  }

  pause(): void {
    for (const { exchange } of this.#listens) exchange?.pause();
  }

  resume(): void {
    for (const { exchange } of this.#listens) exchange?.resume();
  }

  detach(): void {
    for (const { exchange } of this.#listens) exchange?.detach();
  }

  abort(): void {
    this.#close();
  }

  onHead(head: UpstreamHead): void {
    if (this.#begun) return;
    this.#begun = true;
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    // A server without notifications has no stream to offer.
    const status = head.status === 200 && !isStream ? 405 : head.status === 404 ? 405 : head.status;
    this.#handler.onHead(headOf(status, { 'content-type': head.header('content-type') ?? '' }, undefined));
  }

  onAcknowledged(listen: Listen): void {
    const at = this.#listens.indexOf(listen);
    for (const older of this.#listens.splice(0, at)) older.exchange?.abort();
    listen.exchange?.detach();
  }

  onNotification(event: string): void {
    // Every stream of the session hears of it; each message goes to one of them.
    const [speaks] = this.#session.streams;
    if (!this.#over && speaks === this) this.#handler.onData(Buffer.from(event), false);
  }

  /** A listen is over; the stream is when the newest one is. */
  onOver(listen: Listen, error: UpstreamError | undefined): void {
    if (this.#over || listen !== this.#listens.at(-1)) return;
    this.#close();
    if (error) this.#handler.onError(error);
    else this.#handler.onEnd();
  }

  #close(): void {
    this.#over = true;
    this.#session.streams.delete(this);
    for (const { exchange } of this.#listens.splice(0)) exchange?.abort();
  }
}

/** One `subscriptions/listen`. */
class Listen implements UpstreamHandler, SseHandler {
  exchange: UpstreamExchange | undefined;
  readonly #of: BridgedStream;
  readonly #parser: SseParser;
  readonly #scan: BridgeContext['limits']['responseScan'];

  constructor(of: BridgedStream, eventBytes: number, scan: BridgeContext['limits']['responseScan']) {
    this.#of = of;
    this.#parser = new SseParser(eventBytes, this);
    this.#scan = scan;
  }

  onHead(head: UpstreamHead): void {
    this.#of.onHead(head);
  }

  onData(chunk: Buffer): void {
    this.#parser.push(chunk);
  }

  onEnd(): void {
    this.#of.onOver(this, undefined);
  }

  onError(error: UpstreamError): void {
    this.#of.onOver(this, error);
  }

  onEvent({ dataBytes }: SseEvent): void {
    const scanned = dataBytes && scanBody(dataBytes, this.#scan);
    if (scanned?.kind !== 'message') return;
    const { message } = scanned;
    if (message.method === 'notifications/subscriptions/acknowledged') this.#of.onAcknowledged(this);
    else if (message.method !== undefined && !message.id) this.#of.onNotification(withoutSubscription(message));
  }

  onTooLarge(): void {
    this.exchange?.abort();
    this.#of.onOver(this, { code: 'protocol', message: 'an event of the server is too large', notAccepted: false });
  }
}

/** The notification without the name of the listen, which is the gateway's. */
function withoutSubscription({ bytes, span, params, meta }: ScannedMessage): string {
  const named = meta && memberValue(bytes, meta, metaKeys.subscriptionId);
  const isAlone = meta && named && withoutMembers(bytes, meta, new Set([metaKeys.subscriptionId]));
  const edits = params && isAlone ? isAlone : [];
  return encodeEvent({ data: splice(bytes, edits).toString('utf8', span.start) });
}
