import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP server of a test on 127.0.0.1. */
export interface HttpFixture {
  /** Without path: `http://127.0.0.1:40123`. */
  readonly origin: string;
  /** Closes the listener and every connection. */
  stop(): Promise<void>;
}

/** @param port 0 lets the system choose; another one brings a stopped fixture back to its place. */
export async function startHttpFixture(listener: RequestListener, port = 0): Promise<HttpFixture> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The whole body as text. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
