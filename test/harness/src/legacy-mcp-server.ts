import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

import { callTool, describeTools, initialTools } from './fixture-tools.ts';
import { HeldCalls } from './held-calls.ts';
import { readBody, startHttpFixture } from './http-fixture.ts';
import { RequestLog } from './request-log.ts';

/**
 * An MCP server of the legacy era with sessions, written the usual way with the public SDK 1.x.
 *
 * Tools: `echo {text}` answers the text, `slow_progress {key}` goes on until the test finishes it, any other listed tool
 * answers its own name. Prompt `greeting`, resource `test://readme`.
 */
export interface LegacyMcpServer {
  /** The MCP endpoint. */
  readonly url: string;
  /** Everything that reached the server. */
  readonly requests: RequestLog;
  readonly held: HeldCalls;
  /** Ids of sessions that are open. */
  sessions(): readonly string[];
  /** Sends log message number `n` on the GET streams of all sessions. */
  notifyAll(n: number): Promise<void>;
  /** Sends log message number `n` on the GET stream of one session. */
  notify(session: string, n: number): Promise<void>;
  /** Replaces the tools and tells every session. */
  setTools(names: readonly string[]): Promise<void>;
  /** Forgets all sessions, as a restart would: the next request on one is answered 404. */
  forgetSessions(): Promise<void>;
  stop(): Promise<void>;
}

interface Session {
  readonly transport: StreamableHTTPServerTransport;
  readonly server: Server;
}

export async function startLegacyMcpServer(): Promise<LegacyMcpServer> {
  const requests = new RequestLog();
  const held = new HeldCalls();
  const sessions = new Map<string, Session>();
  let tools = initialTools;

  const open = async (): Promise<StreamableHTTPServerTransport> => {
    const server = mcpServer(() => tools, held);
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, { transport, server }),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    // The SDK's own types disagree under exactOptionalPropertyTypes.
    await server.connect(transport as Parameters<Server['connect']>[0]);
    return transport;
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    requests.record({ method: request.method ?? '', target: request.url ?? '', headers: request.headers, body });
    const id = request.headers['mcp-session-id'];
    const session = typeof id === 'string' ? sessions.get(id) : undefined;
    if (id !== undefined && !session) {
      const error = { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } };
      return void response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify(error));
    }
    const transport = session?.transport ?? (await open());
    await transport.handleRequest(request, response, body === '' ? undefined : JSON.parse(body));
  };

  const http = await startHttpFixture((request, response) => void serve(request, response));
  const message = (n: number) => ({
    method: 'notifications/message' as const,
    params: { level: 'info' as const, data: n },
  });
  return {
    url: `${http.origin}/mcp`,
    requests,
    held,
    sessions: () => [...sessions.keys()],
    notifyAll: async (n) => {
      await Promise.all([...sessions.values()].map(({ server }) => server.notification(message(n))));
    },
    notify: async (session, n) => {
      const found = sessions.get(session);
      if (!found) throw new Error(`the fixture has no session ${session}`);
      await found.server.notification(message(n));
    },
    setTools: async (names) => {
      tools = names;
      await Promise.all([...sessions.values()].map(({ server }) => server.sendToolListChanged()));
    },
    forgetSessions: async () => {
      const old = [...sessions.values()];
      sessions.clear();
      await Promise.all(old.map(({ server }) => server.close()));
    },
    stop: () => http.stop(),
  };
}

function mcpServer(tools: () => readonly string[], held: HeldCalls): Server {
  const server = new Server(
    { name: 'legacy-fixture', version: '1.0.0' },
    {
      capabilities: { tools: { listChanged: true }, prompts: {}, resources: {}, logging: {} },
      instructions: 'a fixture',
    },
  );
  server.setRequestHandler(ListToolsRequestSchema, () => describeTools(tools()));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) =>
    callTool(params, held, {
      signal: extra.signal,
      progress: (progressToken, progress) =>
        extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress } }),
    }),
  );
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: [{ name: 'greeting', description: 'says hello' }],
  }));
  server.setRequestHandler(GetPromptRequestSchema, () => ({
    messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'hello' } }],
  }));
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: [{ uri: 'test://readme', name: 'readme' }],
  }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => ({
    contents: [{ uri: params.uri, mimeType: 'text/plain', text: 'read me' }],
  }));
  return server;
}
