import { encodeEvent, type SseEvent, type SseHandler, SseParser } from '../../http/sse.ts';
import { arrayElements, memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { metaKeys } from '../../mcp/codec/rev2026-07-28.ts';
import { type Edit, splice, withFirst } from '../../mcp/splice.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { eventType, headOf } from '../local-answer.ts';
import type { ModernRequest } from './call.ts';
import { hasCapability, type LegacySession, type LegacySessions, readMessage } from './legacy-sessions.ts';
import { claimsOf } from './to-legacy-request.ts';
import { WholeRequest } from '../whole-request.ts';

/** What a client wants to hear of, as far as the server can tell. */
interface Filter {
  readonly methods: ReadonlySet<string>;
  readonly uris: readonly string[];
  /** Raw JSON, as it is acknowledged. */
  readonly honoured: string;
}

/**
 * A `subscriptions/listen` of a modern client at a legacy server: a session of its own with a GET stream and the
 * subscriptions that were asked for. It ends with the client, or with the server's stream.
 */
export class ModernListen extends WholeRequest implements UpstreamExchange, UpstreamHandler, SseHandler {
  readonly #context: BridgeContext;
  readonly #sessions: LegacySessions;
  readonly #listen: ModernRequest;
  readonly #handler: UpstreamHandler;
  readonly #parser: SseParser;
  #session: LegacySession | undefined;
  #exchange: UpstreamExchange | undefined;
  #filter: Filter | undefined;
  #over = false;

  constructor(context: BridgeContext, sessions: LegacySessions, listen: ModernRequest, handler: UpstreamHandler) {
    super();
    this.#context = context;
    this.#sessions = sessions;
    this.#listen = listen;
    this.#handler = handler;
    this.#parser = new SseParser(context.limits.eventBytes, this);
  }

  begin(): this {
    const { request, caller, message } = this.#listen;
    void this.#sessions.open({ request, caller, claims: claimsOf(message) }).then((opened) => {
      if ('code' in opened) this.#break(opened);
      else this.#start(opened);
    });
    return this;
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
    this.#finish();
  }

  onHead({ status }: UpstreamHead): void {
    // A server without a GET stream has nothing to tell: the client's stays open, and silent.
    if (status !== 200) this.#exchange?.abort();
  }

  onData(chunk: Buffer): void {
    this.#parser.push(chunk);
  }

  onEnd(): void {
    if (this.#over) return;
    this.#finish();
    this.#handler.onEnd();
  }

  onError(error: UpstreamError): void {
    this.#break(error);
  }

  onEvent({ dataBytes }: SseEvent): void {
    const message = dataBytes && readMessage(dataBytes, this.#context.limits);
    const filter = this.#filter;
    if (!message || !filter || this.#over || message.method === undefined || message.id) return;
    if (!filter.methods.has(message.method)) return;
    if (message.method === 'notifications/resources/updated' && !filter.uris.includes(message.uri ?? '')) return;
    this.#write(tagged(message, this.#id));
  }

  onTooLarge(): void {
    this.#break({ code: 'protocol', message: 'an event of the server is too large', notAccepted: false });
  }

  get #id(): string {
    const { bytes, id } = this.#listen.message;
    return id ? bytes.toString('utf8', id.start, id.end) : 'null';
  }

  #start(session: LegacySession): void {
    const { request, message } = this.#listen;
    if (this.#over) return this.#sessions.end(session, request);
    const filter = filterOf(message, session, this.#context.limits.bridge.subscriptions);
    this.#session = session;
    this.#filter = filter;
    this.#handler.onHead(headOf(200, eventType, undefined));
    const meta = `"_meta":{"${metaKeys.subscriptionId}":${this.#id}}`;
    const params = `{"notifications":${filter.honoured},${meta}}`;
    this.#write(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":${params}}`);
    const named = session.id === '' ? [] : ['Mcp-Session-Id', session.id];
    const headers = ['Accept', 'text/event-stream', 'MCP-Protocol-Version', session.version, ...named];
    this.#exchange = this.#context.upstream.dispatch(
      { ...request, method: 'GET', headers, body: undefined, safeToResend: true },
      this,
    );
    for (const uri of filter.uris) this.#subscribe(session, uri);
  }

  #subscribe(session: LegacySession, uri: string): void {
    const id = JSON.stringify(this.#context.random.bytes(9).toString('base64url'));
    const params = JSON.stringify({ uri });
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"resources/subscribe","params":${params}}`);
    void this.#sessions.ask({ ...this.#listen.request, headers: session.headers, body, safeToResend: true });
  }

  #write(data: string): void {
    this.#handler.onData(Buffer.from(encodeEvent({ data })), false);
  }

  #break(error: UpstreamError): void {
    if (this.#over) return;
    this.#finish();
    this.#handler.onError(error);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#parser.end();
    this.#exchange?.abort();
    if (this.#session) this.#sessions.end(this.#session, this.#listen.request);
  }
}

const lists: readonly (readonly [wanted: string, capability: string, method: string])[] = [
  ['toolsListChanged', 'tools', 'notifications/tools/list_changed'],
  ['promptsListChanged', 'prompts', 'notifications/prompts/list_changed'],
  ['resourcesListChanged', 'resources', 'notifications/resources/list_changed'],
];

function filterOf({ bytes, params }: ScannedMessage, session: LegacySession, maxUris: number): Filter {
  const asked = params && memberValue(bytes, params, 'notifications');
  const wants = (name: string): boolean => {
    const span = asked && memberValue(bytes, asked, name);
    return span !== undefined && bytes.toString('latin1', span.start, span.end) === 'true';
  };
  const kept = lists.filter(([wanted, capability]) => wants(wanted) && hasCapability(session, capability));
  const list = asked && memberValue(bytes, asked, 'resourceSubscriptions');
  const named = list ? arrayElements(bytes, list).flatMap((span) => stringValue(bytes, span) ?? []) : [];
  const uris = hasCapability(session, 'resources') ? named.slice(0, maxUris) : [];
  const methods = new Set(kept.map(([, , method]) => method));
  if (uris.length > 0) methods.add('notifications/resources/updated');
  const members = kept.map(([wanted]) => `"${wanted}":true`);
  if (uris.length > 0) members.push(`"resourceSubscriptions":${JSON.stringify(uris)}`);
  return { methods, uris, honoured: `{${members.join(',')}}` };
}

/** The notification with the name of the client's subscription. */
function tagged({ bytes, span, params, meta }: ScannedMessage, id: string): string {
  const own = `"${metaKeys.subscriptionId}":${id}`;
  const edits: Edit[] = [];
  if (meta) edits.push(withFirst(bytes, meta, own));
  else if (params) edits.push(withFirst(bytes, params, `"_meta":{${own}}`));
  else edits.push({ start: span.end - 1, end: span.end - 1, text: `,"params":{"_meta":{${own}}}` });
  return splice(bytes, edits).toString('utf8');
}
