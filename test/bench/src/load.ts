import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { onCore, programExists } from './machine.ts';

/** What one run of the load generator saw. */
export interface LoadResult {
  readonly calls: number;
  readonly durationUs: number;
  /** Received, heads included. */
  readonly bytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Connections, reads, writes and answers that failed. */
  readonly failed: number;
}

export interface LoadOptions {
  readonly url: string;
  /** The call of this tool, with so many bytes of arguments. */
  readonly tool: string;
  readonly argumentBytes: number;
  /** Another request in its place: JSON with `@ID`, which is a number, and `@TEXT` within a string. */
  readonly template?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
  /** Core that the generator runs on. */
  readonly core: number;
}

export const loadGenerator = programExists('wrk')
  ? 'wrk'
  : 'own generator on node:net (wrk is not installed: install the Debian package wrk)';

/** Closed loop: each connection sends its next call when the answer to the last one is complete. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const headers = Object.entries(options.headers).flat();
  const common = [options.template ?? toolCall(options.tool), String(options.argumentBytes), ...headers];
  const command = programExists('wrk')
    ? [
        'wrk',
        '-t1',
        `-c${options.connections}`,
        `-d${options.seconds}s`,
        '--timeout',
        '10s',
        '-s',
        script('call.lua'),
        options.url,
        '--',
        ...common,
      ]
    : [
        process.execPath,
        script('node-load.ts'),
        options.url,
        String(options.connections),
        String(options.seconds),
        ...common,
      ];
  const [program = '', ...args] = onCore(options.core, command);
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 1 << 20 });
  const result = /^RESULT (\{.*\})$/m.exec(stdout)?.[1];
  if (result === undefined) throw new Error(`the load generator said no result: ${stdout}`);
  return JSON.parse(result) as LoadResult;
}

/** The request of a call. @param meta what `_meta` of its params says, as JSON; without it there is none. */
export function toolCall(tool: string, meta?: string): string {
  const more = meta === undefined ? '' : `,"_meta":${meta}`;
  return `{"jsonrpc":"2.0","id":@ID,"method":"tools/call","params":{"name":"${tool}","arguments":{"text":"@TEXT"}${more}}}`;
}

function script(name: string): string {
  return new URL(name, import.meta.url).pathname;
}
