import { memberValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { isModernVersion, metaKeys, modernCodec } from '../../mcp/codec/rev2026-07-28.ts';
import { legacyCodec } from '../../mcp/codec/rev2025-11-25.ts';
import { codes } from '../../mcp/errors.ts';
import { splice, withoutMember } from '../../mcp/splice.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { bridgedSessionId, type ClientFacts } from './session.ts';
import { headOf, jsonType } from '../local-answer.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import { metaMembers, modernRequestHeaders } from './to-modern.ts';
import { WholeRequest } from '../whole-request.ts';

/** Characters of a session id: what does not fit into a header with the rest is kept where other nodes find it. */
const maxSessionId = 8_128;

/**
 * A legacy client's `initialize`. It goes to the server as it came: one that speaks both eras is spoken to in the
 * client's. Only a server that refuses it as one of the modern era does is asked to `server/discover`, and the answer
 * to that becomes the answer to `initialize`, with a session that exists only here.
 */
export class BridgedInitialize extends WholeRequest implements UpstreamExchange, UpstreamHandler, AnswerListener {
  readonly #context: BridgeContext;
  readonly #request: UpstreamRequest;
  readonly #message: ScannedMessage;
  readonly #handler: UpstreamHandler;
  #exchange: UpstreamExchange | undefined;
  #aborted = false;
  /** Reads the answer; or the handler does, when it is a stream: no server of the modern era answers with one. */
  #reader: UpstreamHandler;

  constructor(
    context: BridgeContext,
    { request, message }: { readonly request: UpstreamRequest; readonly message: ScannedMessage },
    handler: UpstreamHandler,
  ) {
    super();
    this.#context = context;
    this.#request = request;
    this.#message = message;
    this.#handler = handler;
    this.#reader = new ServerAnswer(this, context.limits);
  }

  begin(): this {
    this.#exchange = this.#context.upstream.dispatch(this.#request, this);
    return this;
  }

  onHead(head: UpstreamHead): void {
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && head.status === 200) this.#reader = this.#handler;
    this.#reader.onHead(head);
  }

  onData(chunk: Buffer, lent: boolean): boolean | void {
    return this.#reader.onData(chunk, lent);
  }

  onEnd(): void {
    this.#reader.onEnd();
  }

  onError(error: UpstreamError): void {
    this.#reader.onError(error);
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
  }

  onMessage(): void {}

  onAnswer(message: ScannedMessage, head: UpstreamHead): void {
    const { bytes } = message;
    if (message.result || !isModernRefusal(message, head)) return this.#pass(head, bytes);
    new Discovery(this.#context, this.#request, this.#message, (found) => {
      if (this.#aborted) return;
      if (found) this.#welcome(found);
      else this.#pass(head, bytes);
    }).begin();
  }

  onOther(head: UpstreamHead, body: Buffer): void {
    this.#pass(head, body);
  }

  onBroken(error: UpstreamError): void {
    this.#handler.onError(error);
  }

  /** What the server said, whole, as JSON. */
  #pass(head: UpstreamHead, body: Buffer): void {
    const session = head.header('mcp-session-id');
    const headers = head.status === 200 ? jsonType : { 'content-type': head.header('content-type') ?? '' };
    const passed = session === undefined ? headers : { ...headers, 'mcp-session-id': session };
    this.#handler.onHead(headOf(head.status, passed, body.length));
    if (body.length > 0) this.#handler.onData(body, false);
    this.#handler.onEnd();
  }

  #welcome({ bytes, result }: Found): void {
    const facts = clientFacts(this.#message);
    const session = bridgedSessionId(facts, this.#context.random);
    if (session.length > maxSessionId) {
      const message = 'the client says too much about itself for a session at a server of the modern era';
      return this.#handler.onError({ code: 'protocol', message, notAccepted: true });
    }
    const id = this.#message.id ? text(this.#message.bytes, this.#message.id) : 'null';
    const members = [
      `"protocolVersion":${JSON.stringify(facts.version)}`,
      `"capabilities":${capabilities(bytes, result)}`,
      `"serverInfo":${serverInfo(bytes, result)}`,
    ];
    const instructions = memberValue(bytes, result, 'instructions');
    if (instructions) members.push(`"instructions":${text(bytes, instructions)}`);
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{${members.join(',')}}}`);
    this.#pass(headOf(200, { ...jsonType, 'mcp-session-id': session }, body.length), body);
  }
}

/** How a server says that it knows no `initialize`: in so many words, or by missing what a modern request has. */
function isModernRefusal({ bytes, error }: ScannedMessage, { status }: UpstreamHead): boolean {
  if (status === 401 || status === 403 || status === 429 || status >= 500) return false;
  const code = error && memberValue(bytes, error, 'code');
  return code !== undefined && modernRefusals.includes(Number(text(bytes, code)));
}

const modernRefusals: readonly number[] = [
  ...[codes.methodNotFound, codes.invalidParams, codes.unsupportedVersion],
  ...[codes.headerMismatch, codes.missingCapability],
];

interface Found {
  readonly bytes: Buffer;
  readonly result: Span;
}

/** Asks a server what it is. */
class Discovery implements AnswerListener {
  readonly #context: BridgeContext;
  readonly #request: UpstreamRequest;
  readonly #message: ScannedMessage;
  readonly #onFound: (found: Found | undefined) => void;
  #retried = false;

  constructor(
    context: BridgeContext,
    request: UpstreamRequest,
    message: ScannedMessage,
    onFound: (found: Found | undefined) => void,
  ) {
    this.#context = context;
    this.#request = request;
    this.#message = message;
    this.#onFound = onFound;
  }

  begin(): void {
    const { upstream, random, limits } = this.#context;
    const id = JSON.stringify(`sbd.${random.bytes(9).toString('base64url')}`);
    const params = `{"_meta":{${metaMembers(clientFacts(this.#message))}}}`;
    const request = {
      ...this.#request,
      headers: modernRequestHeaders({ method: 'server/discover', name: undefined, uri: undefined }),
      body: Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"server/discover","params":${params}}`),
      safeToResend: true,
    };
    upstream.dispatch(request, new ServerAnswer(this, limits));
  }

  onMessage(): void {}

  onAnswer(message: ScannedMessage): void {
    const { bytes, result } = message;
    if (!this.#retried && offersVersion(message)) {
      this.#retried = true;
      return this.begin();
    }
    const versions = result && memberValue(bytes, result, 'supportedVersions');
    const named = versions ? [...text(bytes, versions).matchAll(/"([^"]*)"/g)].map(([, version = '']) => version) : [];
    this.#onFound(result && named.some(isModernVersion) ? { bytes, result } : undefined);
  }

  onOther(): void {
    this.#onFound(undefined);
  }

  onBroken(): void {
    this.#onFound(undefined);
  }
}

/** A server that refuses the revision, and names it among those that it speaks, is asked once more. */
function offersVersion({ bytes, error }: ScannedMessage): boolean {
  const code = error && memberValue(bytes, error, 'code');
  const data = error && memberValue(bytes, error, 'data');
  const supported = data && memberValue(bytes, data, 'supported');
  if (!code || !supported || Number(text(bytes, code)) !== codes.unsupportedVersion) return false;
  return modernCodec.versions.some((version) => text(bytes, supported).includes(`"${version}"`));
}

/** What an `initialize` says, with the newest revision: older ones are the matter of whoever asks here (revisions/). */
function clientFacts({ bytes, params }: ScannedMessage): ClientFacts {
  const member = (name: string) => params && memberValue(bytes, params, name);
  const able = member('capabilities');
  const info = member('clientInfo');
  return {
    version: legacyCodec.versions[0] as string,
    capabilities: able ? withoutTasks(bytes.subarray(able.start, able.end)) : '{}',
    clientInfo: info ? text(bytes, info) : '{"name":"unknown","version":"0"}',
  };
}

/** Capabilities without what the bridge does not carry. */
function withoutTasks(capabilities: Buffer): string {
  return splice(capabilities, withoutMember(capabilities, { start: 0, end: capabilities.length }, 'tasks')).toString(
    'utf8',
  );
}

/** The server's capabilities, without what a legacy session through the gateway cannot have. */
function capabilities(bytes: Buffer, result: Span): string {
  const span = memberValue(bytes, result, 'capabilities');
  if (!span) return '{}';
  const known = JSON.parse(text(bytes, span)) as Record<string, unknown>;
  delete known['extensions'];
  return JSON.stringify(known);
}

/** Who the server is: beside the result on the modern era. */
function serverInfo(bytes: Buffer, result: Span): string {
  const meta = memberValue(bytes, result, '_meta');
  const info = meta && memberValue(bytes, meta, metaKeys.serverInfo);
  return info ? text(bytes, info) : '{"name":"unknown","version":"0"}';
}

function text(bytes: Buffer, { start, end }: Span): string {
  return bytes.toString('utf8', start, end);
}
