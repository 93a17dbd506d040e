import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';

import { Inbox } from './inbox.ts';
import { type SseEvent, SseReader } from './sse-reader.ts';

export const legacyVersion = '2025-11-25';
export const modernVersion = '2026-07-28';

/** A JSON-RPC message, loosely. */
export interface Message {
  readonly jsonrpc?: '2.0';
  readonly id?: string | number | null;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

/** An SSE answer while it runs. */
export interface McpStream {
  readonly events: Inbox<SseEvent>;
  /** The JSON-RPC messages among the events. */
  readonly messages: Inbox<Message>;
  /** `end`: the server completed the answer; `broken`: the connection died. */
  readonly ended: Promise<'end' | 'broken'>;
  /** True once `ended` has resolved. */
  readonly isOver: () => boolean;
  /** Comment lines so far. */
  readonly comments: () => number;
  /** The client leaves. */
  close(): void;
}

export interface McpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Body text; empty for a stream. */
  readonly text: string;
  /** The body as a message; undefined if it is none. */
  readonly message: Message | undefined;
  /** Set when the answer is `text/event-stream`. */
  readonly stream: McpStream | undefined;
}

export interface RawMcpClientOptions {
  readonly url: string;
  /** Sent as bearer token. */
  readonly token?: string;
}

/**
 * An MCP client that sends what it is told and shows what came, header by header. Where the SDK clients hide what went
 * over the wire, this one is used.
 */
export class RawMcpClient {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true });
  token: string | undefined;
  /** Sent as `Mcp-Session-Id` when set. */
  session: string | undefined;
  /** Sent as `MCP-Protocol-Version` when set. */
  version: string | undefined;
  #lastId = 0;

  constructor(options: RawMcpClientOptions) {
    this.#url = new URL(options.url);
    this.token = options.token;
  }

  /** The legacy handshake; keeps session id and version for what follows. @returns the answer to `initialize`. */
  async initialize(params: Record<string, unknown> = {}): Promise<McpAnswer> {
    const clientInfo = { name: 'raw-client', version: '1.0.0' };
    const answer = await this.rpc('initialize', {
      protocolVersion: legacyVersion,
      capabilities: {},
      clientInfo,
      ...params,
    });
    const session = answer.headers['mcp-session-id'];
    if (typeof session === 'string') this.session = session;
    const version = (await finalMessage(answer)).result?.['protocolVersion'];
    if (typeof version === 'string') {
      this.version = version;
      await this.notify('notifications/initialized');
    }
    return answer;
  }

  /** A request of the era that the client is in. */
  rpc(method: string, params?: Record<string, unknown>, headers: Record<string, string> = {}): Promise<McpAnswer> {
    this.#lastId += 1;
    return this.post({ jsonrpc: '2.0', id: this.#lastId, method, ...(params ? { params } : {}) }, headers);
  }

  notify(method: string, params?: Record<string, unknown>): Promise<McpAnswer> {
    return this.post({ jsonrpc: '2.0', method, ...(params ? { params } : {}) });
  }

  /** A modern request: `_meta` and the standard headers are added. */
  modern(
    method: string,
    params: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ): Promise<McpAnswer> {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': modernVersion,
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'raw-client', version: '1.0.0' },
      ...(params['_meta'] as Record<string, unknown> | undefined),
    };
    const name = params['name'] ?? params['uri'];
    return this.rpc(
      method,
      { ...params, _meta: meta },
      {
        'mcp-protocol-version': modernVersion,
        'mcp-method': method,
        ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
        ...headers,
      },
    );
  }

  /** Calls a tool on the legacy era and reads the answer to its end. @returns the JSON-RPC answer. */
  async call(name: string, args: Record<string, unknown> = {}): Promise<Message> {
    return finalMessage(await this.rpc('tools/call', { name, arguments: args }));
  }

  /** Calls a tool on the modern era and reads the answer to its end. */
  async callModern(name: string, args: Record<string, unknown> = {}): Promise<Message> {
    return finalMessage(await this.modern('tools/call', { name, arguments: args }));
  }

  /** Names of the tools that are listed on the legacy era. */
  async toolNames(): Promise<readonly string[]> {
    return namesOf(await finalMessage(await this.rpc('tools/list')));
  }

  /** Names of the tools that are listed on the modern era. */
  async toolNamesModern(): Promise<readonly string[]> {
    return namesOf(await finalMessage(await this.modern('tools/list')));
  }

  post(body: unknown, headers: Record<string, string> = {}): Promise<McpAnswer> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.send('POST', text, {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    });
  }

  /** Opens the legacy GET stream. */
  get(headers: Record<string, string> = {}): Promise<McpAnswer> {
    return this.send('GET', undefined, { accept: 'text/event-stream', ...headers });
  }

  delete(): Promise<McpAnswer> {
    return this.send('DELETE', undefined, {});
  }

  /** Any request; a header with value `''` is left out. */
  send(method: string, body: string | undefined, headers: Record<string, string>): Promise<McpAnswer> {
    const all: Record<string, string> = {
      ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
      ...(this.session === undefined ? {} : { 'mcp-session-id': this.session }),
      ...(this.version === undefined ? {} : { 'mcp-protocol-version': this.version }),
      ...headers,
    };
    const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
    return new Promise((resolve, reject) => {
      const sent = httpRequest(this.#url, { method, headers: present, agent: this.#agent }, (response) => {
        readAnswer(sent, response).then(resolve, reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** Closes connections that carry nothing. */
  closeIdle(): void {
    for (const sockets of Object.values(this.#agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  /** Closes every connection. */
  close(): void {
    this.#agent.destroy();
  }
}

/** The JSON-RPC answer of a request, from JSON or from the end of its stream. */
export async function finalMessage(answer: McpAnswer): Promise<Message> {
  if (answer.message) return answer.message;
  if (!answer.stream) return {};
  return answer.stream.messages.first(
    'the final message',
    (message) => message.id !== undefined && message.method === undefined,
  );
}

function namesOf(message: Message): readonly string[] {
  const tools = message.result?.['tools'];
  if (!Array.isArray(tools)) throw new Error(`not a list of tools: ${JSON.stringify(message)}`);
  return (tools as { name: string }[]).map((tool) => tool.name);
}

async function readAnswer(sent: ClientRequest, response: IncomingMessage): Promise<McpAnswer> {
  const status = response.statusCode ?? 0;
  const { headers } = response;
  if (headers['content-type']?.startsWith('text/event-stream') === true) {
    return { status, headers, text: '', message: undefined, stream: openStream(sent, response) };
  }
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return { status, headers, text, message: parseMessage(text), stream: undefined };
}

function openStream(sent: ClientRequest, response: IncomingMessage): McpStream {
  const events = new Inbox<SseEvent>();
  const messages = new Inbox<Message>();
  const reader = new SseReader((event) => {
    events.add(event);
    const message = parseMessage(event.data);
    if (message) messages.add(message);
  });
  let over = false;
  const ended = new Promise<'end' | 'broken'>((resolve) => {
    const finish = (how: 'end' | 'broken') => {
      over = true;
      resolve(how);
    };
    response.on('end', () => finish('end'));
    response.on('error', () => finish('broken'));
    response.on('close', () => finish('broken'));
  });
  response.setEncoding('utf8');
  response.on('data', (text: string) => reader.write(text));
  return {
    events,
    messages,
    ended,
    isOver: () => over,
    comments: () => reader.comments,
    close: () => void sent.destroy(),
  };
}

function parseMessage(text: string): Message | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
