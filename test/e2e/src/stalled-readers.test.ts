import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:http2';
import type { Readable } from 'node:stream';
import {
  federatedRoute,
  gateway,
  jsonAnswer,
  mcpRoute,
  modernVersion,
  type RawUpstream,
  startRawUpstream,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** The body that a call of `letter` and `size` must get, wherever the upstream puts the id. */
function expected(id: number, letter: string, size: number): string {
  return JSON.stringify(answer(id, letter, size));
}

function answer(id: unknown, letter: string, size: number): object {
  const result = { resultType: 'complete', content: [{ type: 'text', text: letter.repeat(size) }] };
  return letter < 'e' ? { jsonrpc: '2.0', id, result } : { result, jsonrpc: '2.0', id };
}

/** Over a connection of its own. @returns the answer, not read yet. */
async function send(url: string, headers: Record<string, string | number>, body: string): Promise<Readable> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { method: 'POST', headers, agent: false }, resolve).on('error', reject).end(body);
  });
  expect(response.statusCode).toBe(200);
  return response;
}

async function sendHttp2(url: string, headers: Record<string, string | number>, body: string): Promise<Readable> {
  const session = connect(url);
  const stream = session.request({ ':method': 'POST', ':path': new URL(url).pathname, ...headers });
  stream.on('close', () => session.close());
  const status = new Promise((resolve, reject) => {
    stream.on('error', reject).on('response', (head) => resolve(head[':status']));
  });
  stream.end(body);
  expect(await status).toBe(200);
  return stream;
}

/** Sizes of answers, and who asks. The largest of each is more than the gateway can send off, so that it has to hold it. */
const small: [number, readonly string[]][] = [5_000, 40_000, 60_000, 300_000].map((size) => [size, letters]);
const beyondSockets: [number, readonly string[]] = [24_000_000, ['a', 'h']];

// Answers travel in memory that is used again: no client may ever see the bytes of another, however late it reads.
describe.each([
  ['HTTP/1.1', send, [...small, beyondSockets], { route: 'raw', tool: 'large' }],
  ['HTTP/1.1, at a member of a virtual server,', send, [small.at(-1)!], { route: 'all', tool: 'one__large' }],
  // What the window of a stream does not let pass is held.
  ['HTTP/2', sendHttp2, small, { route: 'raw', tool: 'large' }],
] as const)('clients of %s that read late', (_protocol, sendRequest, sizes, { route, tool }) => {
  let upstream: RawUpstream;
  let system: System;

  beforeAll(async () => {
    upstream = await startRawUpstream((socket, { body }) => {
      const message = JSON.parse(body) as { id: unknown; params?: { arguments?: { letter: string; size: number } } };
      const { letter, size } = message.params?.arguments ?? {};
      if (letter === undefined || size === undefined) {
        const result = { resultType: 'complete', supportedVersions: [modernVersion], capabilities: { tools: {} } };
        return socket.write(jsonAnswer({ jsonrpc: '2.0', id: message.id, result }));
      }
      socket.write(jsonAnswer(answer(message.id, letter, size)));
    });
    const settings = { SIGNALBOX_PROXY_HTTP2: 'always' };
    system = await startSystem({ pgUrl: inject('pgUrl'), settings });
    const backends = { one: upstream.url, two: upstream.url };
    await system.apply([
      ...[gateway(), tenant(), ...mcpRoute({ name: 'raw', url: upstream.url, keys, rules: ['true'] })],
      ...federatedRoute({ name: 'all', backends, keys, rules: ['true'] }),
    ]);
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  /** Sends a call; nothing of the body is read until `read` is called. */
  async function begin(id: number, letter: string, size: number): Promise<{ read(): Promise<string> }> {
    const params = {
      ...{ name: tool, arguments: { letter, size } },
      _meta: {
        'io.modelcontextprotocol/protocolVersion': modernVersion,
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params });
    const headers = {
      ...{ 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      ...{ 'mcp-protocol-version': modernVersion, 'mcp-method': 'tools/call', 'mcp-name': tool },
      ...{ authorization: 'Bearer alice-key', 'content-length': Buffer.byteLength(body) },
    };
    const response = await sendRequest(system.endpoint('acme', route), headers, body);
    return {
      read: () => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => void chunks.push(chunk));
        return new Promise((resolve, reject) => {
          response.on('error', reject).on('end', () => resolve(Buffer.concat(chunks).toString('latin1')));
        });
      },
    };
  }

  it.each(sizes)('get their own answers of %i bytes', async (size, callers) => {
    const stalled = await Promise.all(callers.map((letter, i) => begin(100 + i, letter, size)));
    for (let round = 0; round < 2; round += 1) {
      const quick = await Promise.all(callers.map((letter, i) => begin(i, letter, size)));
      const bodies = await Promise.all(quick.map((call) => call.read()));
      bodies.forEach((body, i) => expect(body === expected(i, callers[i] as string, size)).toBe(true));
    }
    const late = await Promise.all(stalled.map((call) => call.read()));
    late.forEach((body, i) => expect(body === expected(100 + i, callers[i] as string, size)).toBe(true));
  });
});
