import { Client, StreamableHTTPClientTransport, type Tool } from '@modelcontextprotocol/client';
import type { Secret } from '@signalbox/runtime';
import { Failure } from '../failure.ts';
import { printable } from '../output/printable.ts';
import type { Era } from './mcp-era.ts';

export interface ToolsRequest {
  readonly url: string;
  readonly token: Secret | undefined;
  readonly era: Era;
  readonly signal: AbortSignal;
}

export interface ToolList {
  /** Protocol revision that was spoken. */
  readonly protocolVersion: string;
  /** Name and version that the server gives itself. */
  readonly server: string;
  readonly tools: readonly Tool[];
}

/** Pages of tools that are fetched at most: a server that never ends its list is not believed. */
const pageLimit = 100;
const requestTimeoutMs = 30_000;
const modernRevision = '2026-07-28';

/** Lists all tools that an MCP server shows to the holder of a credential. */
export async function listTools(request: ToolsRequest): Promise<ToolList> {
  const mode = request.era === 'modern' ? { pin: modernRevision } : request.era;
  const client = new Client({ name: 'signalbox-cli', version: '0.1.0' }, { versionNegotiation: { mode } });
  const headers: Record<string, string> = request.token ? { authorization: `Bearer ${request.token.reveal()}` } : {};
  const transport = new StreamableHTTPClientTransport(new URL(request.url), { requestInit: { headers } });
  const options = { timeout: requestTimeoutMs, signal: request.signal };
  try {
    await client.connect(transport, options);
    const tools = await allPages(client, options);
    const server = client.getServerVersion();
    return {
      protocolVersion: client.getNegotiatedProtocolVersion() ?? '',
      server: server ? `${server.name} ${server.version}` : '',
      tools,
    };
  } catch (error) {
    throw refused(request, error);
  } finally {
    await transport.terminateSession().catch(() => undefined);
    await client.close();
  }
}

async function allPages(client: Client, options: { timeout: number; signal: AbortSignal }): Promise<Tool[]> {
  const tools: Tool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < pageLimit; page += 1) {
    const result = await client.listTools(cursor === undefined ? {} : { cursor }, options);
    tools.push(...result.tools);
    cursor = result.nextCursor;
    if (cursor === undefined) return tools;
  }
  throw new Failure(`the server has more than ${pageLimit} pages of tools`);
}

function refused({ url, token }: ToolsRequest, error: unknown): Failure {
  const text = error instanceof Error ? printable(wholeMessage(error)) : String(error);
  const advice = /401|unauthorized/i.test(text)
    ? token
      ? 'The route does not accept this credential: see the authentication of its policy.'
      : 'The route wants a credential: add --token, or set SIGNALBOX_MCP_TOKEN.'
    : /ECONNREFUSED|fetch failed/.test(text)
      ? 'Nothing listens there: start signalbox up or signalbox proxy, or correct the address.'
      : '';
  return new Failure(`${url}: ${text}${advice && `\n  ${advice}`}`, 1, { cause: error });
}

/** The messages of an error and its causes, each once: `fetch failed` says nothing, its cause does. */
function wholeMessage(error: Error): string {
  let text = error.message;
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    if (!text.endsWith(cause.message)) text = `${text}: ${cause.message}`;
  }
  return text;
}
