// Child entry: the demo railway, an MCP server of both eras over Streamable HTTP. Its port is the first argument.
import { createServer } from 'node:http';
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from '@modelcontextprotocol/server';
import { systemClock } from '@signalbox/runtime';
import { endWithParent } from './end-with-parent.ts';
import { fetchListener } from './fetch-listener.ts';
import { railwayServer } from './railway/mcp-server.ts';
import { Railway } from './railway/timetable.ts';

endWithParent();

const railway = new Railway();
const handler = createMcpHandler(() => railwayServer(railway, systemClock));

async function serve(request: Request): Promise<Response> {
  const refused =
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins());
  if (refused) return refused;
  if (new URL(request.url).pathname !== '/mcp') return new Response('the endpoint is /mcp\n', { status: 404 });
  return handler.fetch(request);
}

const server = createServer(fetchListener(serve));
server.listen(Number(process.argv[2]), '127.0.0.1', () => {
  process.stderr.write(`railway listening on port ${JSON.stringify(server.address())}\n`);
});
