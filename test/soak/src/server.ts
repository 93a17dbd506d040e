import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { legacyVersion, modernVersion, readBody, startHttpFixture } from '@signalbox/test-harness';

/** A server of one era that knows nothing but what is open: it keeps no record of what was asked. */
export interface SoakServer {
  readonly url: string;
  /** Of the legacy era: sessions that have begun and not ended. */
  sessions(): number;
  /** Streams that are open, and calls that wait for an answer of their client. */
  open(): number;
  calls(): number;
  stop(): Promise<void>;
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: {
    readonly name?: string;
    readonly arguments?: { readonly text?: string };
    readonly inputResponses?: Readonly<Record<string, { readonly content?: { readonly name?: string } }>>;
    readonly requestState?: string;
  };
  readonly result?: { readonly content?: { readonly name?: string } };
}

interface Session {
  /** Who owns it, as it has said; what its streams are told. */
  marker: string;
  readonly streams: Set<ServerResponse>;
  /** By id of the question. */
  readonly questions: Map<string, (name: string) => void>;
}

const tools = ['echo', 'ask', 'own', 'slow'].map((name) => ({ name, inputSchema: { type: 'object' } }));
const noteMs = 1_000;

/** Sessions, a GET stream that says whose it is, and questions within calls. */
export async function startLegacyServer(): Promise<SoakServer> {
  const sessions = new Map<string, Session>();
  let [calls, asked] = [0, 0];
  const notes = setInterval(() => {
    for (const { marker, streams } of sessions.values()) {
      for (const stream of streams) write(stream, note('notifications/message', { level: 'info', data: marker }));
    }
  }, noteMs);
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const message = JSON.parse((await readBody(request)) || '{}') as Message;
    const { id, method } = message;
    if (method === 'server/discover') return json(response, 400, fault(id, -32600, 'Server not initialized'));
    if (method === 'initialize') {
      const name = randomUUID();
      sessions.set(name, { marker: '', streams: new Set(), questions: new Map() });
      const serverInfo = { name: 'old', version: '1' };
      const capabilities = { tools: { listChanged: true }, logging: {} };
      response.setHeader('mcp-session-id', name);
      return json(response, 200, answer(id, { protocolVersion: legacyVersion, capabilities, serverInfo }));
    }
    const name = String(request.headers['mcp-session-id']);
    const session = sessions.get(name);
    if (!session) return json(response, 404, fault(id, -32001, 'Session not found'));
    if (request.method === 'DELETE') {
      sessions.delete(name);
      for (const stream of session.streams) stream.end();
      return void response.writeHead(200).end();
    }
    if (request.method === 'GET') return openStream(session.streams, response);
    if (method === undefined) {
      session.questions.get(String(id))?.(message.result?.content?.name ?? 'nobody');
      return void response.writeHead(202).end();
    }
    if (id === undefined) return void response.writeHead(202).end();
    if (method !== 'tools/call') return json(response, 200, answer(id, method === 'tools/list' ? { tools } : {}));
    calls += 1;
    await answerCall(session, message, response);
  };
  const answerCall = async (session: Session, { id, params }: Message, response: ServerResponse): Promise<void> => {
    const text = params?.arguments?.text ?? '';
    if (params?.name === 'own') session.marker = text;
    if (params?.name === 'slow') {
      openStream(session.streams, response, false);
      for (let step = 1; step <= 3; step += 1) {
        write(response, note('notifications/message', { level: 'info', data: session.marker }));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return void response.end(event(answer(id, content(text))));
    }
    if (params?.name !== 'ask') return json(response, 200, answer(id, content(text)));
    asked += 1;
    const question = `ask-${asked}`;
    openStream(session.streams, response, false);
    const schema = { type: 'object', properties: { name: { type: 'string' } } };
    const said = new Promise<string>((resolve) => {
      session.questions.set(question, resolve);
      response.once('close', () => resolve('nobody'));
    });
    write(response, {
      jsonrpc: '2.0',
      id: question,
      method: 'elicitation/create',
      params: { message: text, requestedSchema: schema },
    });
    const name = await said;
    session.questions.delete(question);
    response.end(event(answer(id, content(`${text}:${name}`))));
  };
  const http = await startHttpFixture((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const count = (of: (session: Session) => number): number =>
    [...sessions.values()].reduce((sum, one) => sum + of(one), 0);
  return {
    url: `${http.origin}/mcp`,
    sessions: () => sessions.size,
    open: () => count(({ streams, questions }) => streams.size + questions.size),
    calls: () => calls,
    stop: () => {
      clearInterval(notes);
      return http.stop();
    },
  };
}

/** No sessions; questions are answered by asking again. */
export async function startModernServer(): Promise<SoakServer> {
  const streams = new Set<ServerResponse>();
  let calls = 0;
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const message = JSON.parse((await readBody(request)) || '{}') as Message;
    const { id, method, params } = message;
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const cached = { resultType: 'complete', ttlMs: 1_000, cacheScope: 'private' };
    switch (method ?? '') {
      case 'initialize':
        return json(response, 400, fault(id, -32022, 'Unsupported protocol version', { supported: [modernVersion] }));
      case 'server/discover':
        return json(
          response,
          200,
          answer(id, { ...cached, supportedVersions: [modernVersion], capabilities: { tools: { listChanged: true } } }),
        );
      case 'tools/list':
        return json(response, 200, answer(id, { ...cached, tools }));
      case 'subscriptions/listen': {
        openStream(streams, response);
        const _meta = { 'io.modelcontextprotocol/subscriptionId': id };
        return write(
          response,
          note('notifications/subscriptions/acknowledged', { notifications: { toolsListChanged: true }, _meta }),
        );
      }
      case 'tools/call':
        calls += 1;
        return json(response, 200, answer(id, { resultType: 'complete', ...called(params) }));
      default:
        return json(response, 404, fault(id, -32601, 'Method not found'));
    }
  };
  const http = await startHttpFixture((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  return {
    url: `${http.origin}/mcp`,
    sessions: () => 0,
    open: () => streams.size,
    calls: () => calls,
    stop: () => http.stop(),
  };
}

function called(params: Message['params']): object {
  const text = params?.arguments?.text ?? '';
  if (params?.name !== 'ask') return content(text);
  const said = params.inputResponses?.['who'];
  // The state says whose answer this must be.
  if (said && params.requestState === `state of ${text}`) return content(`${text}:${said.content?.name ?? 'nobody'}`);
  const requestedSchema = { type: 'object', properties: { name: { type: 'string' } } };
  const question = { method: 'elicitation/create', params: { message: text, requestedSchema } };
  return { resultType: 'input_required', inputRequests: { who: question }, requestState: `state of ${text}` };
}

function openStream(streams: Set<ServerResponse>, response: ServerResponse, isOwn = true): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  if (!isOwn) return;
  streams.add(response);
  response.once('close', () => streams.delete(response));
}

function content(text: string): object {
  return { content: [{ type: 'text', text }] };
}

function answer(id: unknown, result: object): object {
  return { jsonrpc: '2.0', id, result };
}

function fault(id: unknown, code: number, message: string, data?: object): object {
  return { jsonrpc: '2.0', id: id ?? null, error: { code, message, ...(data && { data }) } };
}

function note(method: string, params: object): object {
  return { jsonrpc: '2.0', method, params };
}

function event(message: object): string {
  return `data: ${JSON.stringify(message)}\n\n`;
}

function write(response: ServerResponse, message: object): void {
  response.write(event(message));
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
