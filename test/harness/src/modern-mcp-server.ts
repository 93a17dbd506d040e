import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

import { createMcpHandler, InMemoryServerEventBus, Server } from '@modelcontextprotocol/server';

import { callTool, describeTools, initialTools } from './fixture-tools.ts';
import { HeldCalls } from './held-calls.ts';
import { readBody, startHttpFixture } from './http-fixture.ts';
import { RequestLog } from './request-log.ts';

/** Resource whose updates carry numbers: see {@link ModernMcpServer.notifyAll}. */
export const feedUri = 'test://feed';

/**
 * An MCP server that speaks only the modern era (2026-07-28), written with the public SDK 2.x. The same tools, prompt and
 * resource as the legacy fixture, and the resource `test://feed`.
 */
export interface ModernMcpServer {
  readonly url: string;
  readonly requests: RequestLog;
  readonly held: HeldCalls;
  /** How many `subscriptions/listen` streams are open. */
  listening(): number;
  /** Sends an update of `test://feed` numbered `n` (in `params._meta.n`) to every listener that asked for it. */
  notifyAll(n: number): void;
  /** Replaces the tools and tells every listener that asked for it. */
  setTools(names: readonly string[]): void;
  stop(): Promise<void>;
}

export async function startModernMcpServer(): Promise<ModernMcpServer> {
  const requests = new RequestLog();
  const held = new HeldCalls();
  const bus = new InMemoryServerEventBus();
  let tools = initialTools;
  const handler = createMcpHandler(() => mcpServer(() => tools, held), {
    legacy: 'reject',
    bus,
    maxSubscriptions: 10_000,
  });

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    requests.record({ method: request.method ?? '', target: request.url ?? '', headers: request.headers, body });
    const left = new AbortController();
    response.once('close', () => left.abort());
    const answer = await handler.fetch(webRequest(request, body, left.signal));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (!answer.body) return void response.end();
    const stream = Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]);
    stream.once('error', () => response.destroy());
    response.once('close', () => stream.destroy());
    response.flushHeaders();
    stream.pipe(response);
  };

  const http = await startHttpFixture((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  return {
    url: `${http.origin}/mcp`,
    requests,
    held,
    listening: () => bus.listenerCount,
    notifyAll: (n) => bus.publish({ kind: 'resource_updated', uri: feedUri, params: { _meta: { n } } }),
    setTools: (names) => {
      tools = names;
      bus.publish({ kind: 'tools_list_changed' });
    },
    stop: async () => {
      await handler.close();
      await http.stop();
    },
  };
}

function webRequest(request: IncomingMessage, body: string, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const init = { method: request.method ?? 'GET', headers, signal };
  const url = `http://${request.headers.host ?? '127.0.0.1'}${request.url ?? '/'}`;
  return new Request(url, body === '' ? init : { ...init, body });
}

function mcpServer(tools: () => readonly string[], held: HeldCalls): Server {
  const server = new Server(
    { name: 'modern-fixture', version: '1.0.0' },
    {
      capabilities: { tools: { listChanged: true }, prompts: {}, resources: { subscribe: true } },
      instructions: 'a fixture',
    },
  );
  server.setRequestHandler('tools/list', () => describeTools(tools()));
  server.setRequestHandler('tools/call', ({ params }, { mcpReq }) =>
    callTool(params, held, {
      signal: mcpReq.signal,
      progress: (progressToken, progress) =>
        mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } }),
    }),
  );
  server.setRequestHandler('prompts/list', () => ({ prompts: [{ name: 'greeting', description: 'says hello' }] }));
  server.setRequestHandler('prompts/get', () => ({
    messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'hello' } }],
  }));
  server.setRequestHandler('resources/list', () => ({ resources: [{ uri: 'test://readme', name: 'readme' }] }));
  server.setRequestHandler('resources/read', ({ params }) => ({
    contents: [{ uri: params.uri, mimeType: 'text/plain', text: 'read me' }],
  }));
  return server;
}
