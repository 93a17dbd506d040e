import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import { type HttpFixture, readBody, startHttpFixture } from './http-fixture.ts';
import { Inbox } from './inbox.ts';
import { answerMember, type MemberContent, type MemberMessage } from './member-answers.ts';
import { modernVersion } from './raw-mcp-client.ts';
import { RequestLog } from './request-log.ts';

export interface MemberServerOptions extends MemberContent {
  /** The era that it speaks; legacy, with sessions, unless given. */
  readonly era?: 'legacy' | 'modern';
  /** What it says to a session that it does not know: 404 unless given. */
  readonly lostStatus?: 400 | 404;
  /** It offers no stream of its own: GET is answered 405. */
  readonly withoutStream?: boolean;
}

/**
 * An MCP server written by hand, to be a member of virtual servers: what it answers is exactly what a test says, and it
 * can be stopped, started again at the same place, and made to forget its sessions.
 *
 * Beside the listed tools that answer their own name: `echo {text}`, `link {text}` answers a text, a link and an embedded resource,
 * `ask` asks its client for input first, `hold` answers when the test says so, `poll` ends its stream after one event and
 * answers when the client comes back for what follows it.
 */
export interface MemberServer {
  readonly url: string;
  readonly requests: RequestLog;
  /** What clients have answered to requests of the server. */
  readonly answers: Inbox<MemberMessage>;
  /** Calls of `hold` that wait. */
  readonly held: Inbox<{ finish(): void }>;
  sessions(): readonly string[];
  /** Streams that are open: GET, or `subscriptions/listen`. */
  streams(): number;
  /** Sends a message, or raw events, on every open stream. @param id of the event. */
  push(message: unknown, id?: string): void;
  /** Replaces what it has from now on. */
  become(content: MemberContent): void;
  forgetSessions(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
}

interface Stream {
  readonly response: ServerResponse;
  /** Id of the listen request; undefined for a GET stream. */
  readonly listen: unknown;
}

export async function startMemberServer(options: MemberServerOptions): Promise<MemberServer> {
  const { era = 'legacy', lostStatus = 404 } = options;
  let content: MemberContent = options;
  const requests = new RequestLog();
  const answers = new Inbox<MemberMessage>();
  const held = new Inbox<{ finish(): void }>();
  const sessions = new Set<string>();
  const streams = new Set<Stream>();
  let polled: unknown;

  const openStream = (response: ServerResponse, listen?: unknown): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    const stream = { response, listen };
    streams.add(stream);
    response.once('close', () => streams.delete(stream));
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    requests.record({ method: request.method ?? '', target: request.url ?? '', headers: request.headers, body });
    const message = (body === '' ? {} : JSON.parse(body)) as MemberMessage;
    const session = request.headers['mcp-session-id'];
    if (era === 'legacy' && message.method !== 'initialize') {
      if (message.method === 'server/discover') return refuse(response, 400, 'Bad Request: Server not initialized');
      if (typeof session !== 'string' || !sessions.has(session))
        return refuse(response, lostStatus, 'No valid session ID');
    }
    if (era === 'modern' && message.method === 'initialize') return json(response, unsupported(message.id), 400);
    if (request.method === 'GET' && options.withoutStream === true) return refuse(response, 405, 'Method not allowed');
    if (request.method === 'GET') {
      openStream(response);
      if (request.headers['last-event-id'] !== 'poll-1') return;
      return writeEvent(response, { jsonrpc: '2.0', id: polled, result: { content: [pollText] } }, 'poll-2');
    }
    if (request.method === 'DELETE') {
      sessions.delete(String(session));
      return void response.writeHead(200).end();
    }
    if (message.method === undefined) {
      answers.add(message);
      return void response.writeHead(202).end();
    }
    if (message.id === undefined) return void response.writeHead(202).end();
    if (message.method === 'subscriptions/listen') {
      openStream(response, message.id);
      const notifications = (message.params as { notifications?: unknown }).notifications;
      const _meta = { 'io.modelcontextprotocol/subscriptionId': message.id };
      const params = { notifications, _meta };
      return writeEvent(response, { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params });
    }
    const fresh = randomUUID();
    if (message.method === 'initialize') sessions.add(fresh);
    const headers = message.method === 'initialize' ? { 'mcp-session-id': fresh } : {};
    await answer(message, response, headers);
  };

  const answer = async (message: MemberMessage, response: ServerResponse, headers: Record<string, string>) => {
    const params = message.params as { name?: string } | undefined;
    const isCall = message.method === 'tools/call';
    if (isCall && params?.name === 'hold') {
      await new Promise<void>((resolve) => held.add({ finish: resolve }));
    }
    if (isCall && params?.name === 'poll') {
      polled = message.id;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const progress = { level: 'info', data: 'come back' };
      writeEvent(response, { jsonrpc: '2.0', method: 'notifications/message', params: progress }, 'poll-1');
      return void response.end();
    }
    if (isCall && params?.name === 'ask') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const id = `ask-${requests.items.length}`;
      const schema = { type: 'object', properties: {} };
      const question = { mode: 'form', message: 'Who are you?', requestedSchema: schema };
      writeEvent(response, { jsonrpc: '2.0', id, method: 'elicitation/create', params: question });
      const said = await answers.first(`an answer to ${id}`, (one) => one.id === id);
      const text = JSON.stringify(said.result);
      const result = { content: [{ type: 'text', text }] };
      return void response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result })}\n\n`);
    }
    json(response, { jsonrpc: '2.0', id: message.id, ...answerMember(content, era, message) }, 200, headers);
  };

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response).catch(() => response.destroy());
  };
  let http: HttpFixture | undefined = await startHttpFixture(listener);
  const { origin } = http;
  return {
    url: `${origin}/mcp`,
    ...{ requests, answers, held },
    sessions: () => [...sessions],
    streams: () => streams.size,
    push: (message, id) => {
      for (const { response, listen } of streams) writeEvent(response, withSubscription(message, listen), id);
    },
    become: (next) => void (content = next),
    forgetSessions: () => sessions.clear(),
    stop: async () => {
      sessions.clear();
      await http?.stop();
      http = undefined;
    },
    start: async () => {
      http ??= await startHttpFixture(listener, Number(new URL(origin).port));
    },
  };
}

function json(response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  json(response, { jsonrpc: '2.0', id: null, error: { code: -32000, message } }, status);
}

function unsupported(id: unknown): unknown {
  const data = { supported: [modernVersion], requested: '' };
  return { jsonrpc: '2.0', id, error: { code: -32022, message: 'Unsupported protocol version', data } };
}

function writeEvent(response: ServerResponse, message: unknown, id?: string): void {
  response.write(`${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`);
}

const pollText = { type: 'resource_link', uri: 'test://polled', name: 'polled' };

/** On the modern era every message of a stream names its subscription. */
function withSubscription(message: unknown, listen: unknown): unknown {
  if (listen === undefined) return message;
  const { params, ...rest } = message as { params?: Record<string, unknown> };
  const _meta = { 'io.modelcontextprotocol/subscriptionId': listen };
  return { ...rest, params: { ...params, _meta } };
}
