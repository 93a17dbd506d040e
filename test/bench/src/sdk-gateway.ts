// A gateway built the usual way: for every client session an SDK `Server` and, toward the upstream, an SDK `Client`; each request
// is parsed, handed over and written again. No authentication and no policy, which flatters it. The baseline of the benchmark.
// Usage: sdk-gateway.ts upstreamUrl
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const upstreamUrl = new URL(process.argv[2] ?? '');
const sessions = new Map<string, StreamableHTTPServerTransport>();

async function openSession(): Promise<StreamableHTTPServerTransport> {
  const client = new Client({ name: 'sdk-gateway', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(upstreamUrl) as Parameters<Client['connect']>[0]);
  const server = new Server({ name: 'sdk-gateway', version: '1.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) => client.listTools(params));
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => client.callTool(params));
  const transport = new StreamableHTTPServerTransport({
    enableJsonResponse: true,
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => void sessions.set(id, transport),
  });
  await server.connect(transport as Parameters<Server['connect']>[0]);
  return transport;
}

async function body(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

const server = createServer((request, response) => {
  const serve = async () => {
    const id = request.headers['mcp-session-id'];
    const transport = (typeof id === 'string' ? sessions.get(id) : undefined) ?? (await openSession());
    await transport.handleRequest(request, response, await body(request));
  };
  serve().catch((error: unknown) => {
    console.error(error);
    response.destroy();
  });
}).listen(0, '127.0.0.1', () => console.log(`listening on ${(server.address() as AddressInfo).port}`));
