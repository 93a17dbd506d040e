import { fileURLToPath } from 'node:url';
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
    entry: fileURLToPath(new URL('./everything-mcp-server.ts', import.meta.url)),
    args: [],
    environment: { PATH: searchPath, PORT: String(port) },
    ready: 'listening on port',
  });
}

/** The demo railway: a server of both eras with tools that read and tools that change. */
export function startRailwayServer({ port, searchPath }: DemoServerOptions): Promise<RunningProcess> {
  return startNodeProcess({
    name: 'the demo railway',
    entry: fileURLToPath(new URL('./demo-mcp-server.ts', import.meta.url)),
    args: [String(port)],
    environment: { PATH: searchPath },
    ready: 'listening on port',
  });
}
