import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

import { RequestLog } from './request-log.ts';

/** What a scripted upstream does with a request: it writes whatever bytes it likes. */
export type UpstreamScript = (socket: Socket, request: { readonly target: string; readonly body: string }) => void;

/** An upstream that answers exactly the bytes that a test says, however wrong they are. */
export interface RawUpstream {
  readonly url: string;
  readonly requests: RequestLog;
  /** Replaces the script for requests that come from now on. */
  answerWith(script: UpstreamScript): void;
  stop(): Promise<void>;
}

/** A well-formed answer with a JSON body, as bytes. */
export function jsonAnswer(value: unknown, extraHeaders = ''): string {
  const body = JSON.stringify(value);
  const length = Buffer.byteLength(body);
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n${extraHeaders}\r\n${body}`;
}

/** Understands requests with Content-Length only: that is what the proxy sends. */
export async function startRawUpstream(script: UpstreamScript): Promise<RawUpstream> {
  const requests = new RequestLog();
  const sockets = new Set<Socket>();
  let current = script;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let pending = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (let request = cutRequest(pending); request; request = cutRequest(pending)) {
        pending = pending.subarray(request.bytes);
        requests.record(request);
        current(socket, request);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    requests,
    answerWith: (next) => void (current = next),
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface CutRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** Length of head and body. */
  readonly bytes: number;
}

function cutRequest(pending: Buffer): CutRequest | undefined {
  const headEnd = pending.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [start = '', ...lines] = pending.toString('latin1', 0, headEnd).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines)
    headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
  const bytes = headEnd + 4 + Number(headers['content-length'] ?? 0);
  if (pending.length < bytes) return undefined;
  const [method = '', target = ''] = start.split(' ');
  return { method, target, headers, body: pending.toString('utf8', headEnd + 4, bytes), bytes };
}
