import { join } from 'node:path';
import { type RunningProcess, startNodeProcess } from './node-process.ts';

export interface DemoServerOptions {
  /** Port on 127.0.0.1; the endpoint is `/mcp`. */
  readonly port: number;
  /** Where the system's programs are, as in PATH. */
  readonly searchPath: string;
}

/** The public MCP server-everything: every feature of the protocol, legacy era. */
export function startEverythingServer({ port, searchPath }: DemoServerOptions): Promise<RunningProcess> {
  return startNodeProcess({
    name: 'MCP server-everything',
    entry: join(import.meta.dirname, 'everything-mcp-server.ts'),
    args: [],
    environment: { PATH: searchPath, PORT: String(port) },
    ready: 'listening on port',
  });
}

/** The demo railway: a server of both eras with tools that read and tools that change. */
export function startRailwayServer({ port, searchPath }: DemoServerOptions): Promise<RunningProcess> {
  return startNodeProcess({
    name: 'the demo railway',
    entry: join(import.meta.dirname, 'demo-mcp-server.ts'),
    args: [String(port)],
    environment: { PATH: searchPath },
    ready: 'listening on port',
  });
}
