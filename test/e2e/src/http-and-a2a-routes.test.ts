import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest, type RequestListener, type ServerResponse } from 'node:http';

import {
  forwardRoute,
  gateway,
  type HttpFixture,
  policy,
  readBody,
  startHttpFixture,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
const megabytes = 20;

/** Streams that the service has open, to write to them. */
const open: ServerResponse[] = [];

const service: RequestListener = (request, response) => {
  const path = request.url ?? '';
  if (path === '/v1/sink') void digestOf(request).then((digest) => response.end(digest));
  else if (path === '/v1/source') response.end(randomBytes(megabytes * 1024 * 1024));
  else if (path === '/v1/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    open.push(response);
  } else response.end(JSON.stringify({ path, method: request.method, headers: request.headers }));
};

const agent: RequestListener = (request, response) => {
  const { origin } = new URL(`http://${request.headers.host}`);
  if (request.url === '/.well-known/agent-card.json') {
    const supportedInterfaces = [{ url: `${origin}/a2a`, protocolBinding: 'JSONRPC', protocolVersion: '1.0' }];
    return response.end(JSON.stringify({ name: 'planner', supportedInterfaces, capabilities: { streaming: true } }));
  }
  void readBody(request).then((body) => {
    const { id, method } = JSON.parse(body) as { id: unknown; method: string };
    const message = (result: object) => JSON.stringify({ jsonrpc: '2.0', id, result });
    if (method !== 'SendStreamingMessage') return response.end(message({ method }));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${message({ task: { id: 't' } })}\n\n`);
    return response.end(`data: ${message({ statusUpdate: { final: true } })}\n\n`);
  });
};

async function digestOf(stream: AsyncIterable<unknown> | Iterable<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

describe.each(['own', 'node'])('routes beside MCP, over the codec %s,', (codec) => {
  let system: System;
  let [http, a2a]: HttpFixture[] = [];

  beforeAll(async () => {
    [http, a2a] = [await startHttpFixture(service), await startHttpFixture(agent)];
    system = await startSystem({ pgUrl: inject('pgUrl'), settings: { SIGNALBOX_PROXY_HTTP_CODEC: codec } });
    await system.apply([
      gateway(),
      tenant(),
      ...forwardRoute({
        name: 'orders',
        kind: 'http',
        url: `${http.origin}/v1`,
        keys,
        rules: ['http.method != "DELETE"'],
      }),
      ...forwardRoute({ name: 'planner', kind: 'a2a', url: `${a2a.origin}/a2a`, keys, rules: ['true'] }),
      ...forwardRoute({
        ...{ name: 'slow', kind: 'http', url: `${http.origin}/v1`, keys, rules: ['true'] },
        limits: { callsPerMinute: 60, burst: 2 },
      }),
    ]);
  });

  afterAll(async () => {
    await system.stop();
    await http?.stop();
    await a2a?.stop();
  });

  const urlOf = (route: string, rest = ''): string => system.endpoint('acme', route).replace(/\/mcp$/, rest);
  const headers = { authorization: 'Bearer alice-key' };
  const send = (route: string, rest: string, init: RequestInit = {}): Promise<Response> =>
    fetch(urlOf(route, rest), { ...init, headers: { ...headers, ...(init.headers as Record<string, string>) } });

  it('carry requests to an HTTP service and its answers back, without the credential', async () => {
    const answer = await send('orders', '/17?full=1', { method: 'PUT', body: 'x' });
    expect(answer.status).toBe(200);
    const seen = (await answer.json()) as { path: string; method: string; headers: Record<string, string> };
    expect(seen).toMatchObject({ path: '/v1/17?full=1', method: 'PUT', headers: { 'x-forwarded-proto': 'http' } });
    expect(JSON.stringify(seen)).not.toContain('alice-key');
    expect((await send('orders', '/17', { method: 'DELETE' })).status).toBe(403);
    expect((await send('orders', '/17', { headers: { authorization: '' } })).status).toBe(401);
    const events = await until('both to be recorded', async () => {
      const all = await system.node(0).events();
      return all.length >= 3 ? all : undefined;
    });
    expect(events.map(({ protocol, path, decision }) => [protocol, path, decision])).toEqual([
      ['http', '/acme/orders/17', 'allow'],
      ['http', '/acme/orders/17', 'deny'],
      ['http', '/acme/orders/17', 'unauthenticated'],
    ]);
  });

  it('carry bodies of any size, both ways', async () => {
    const body = randomBytes(megabytes * 1024 * 1024);
    const upload = httpRequest(urlOf('orders', '/sink'), { method: 'POST', headers });
    const answered = once(upload, 'response');
    for (let at = 0; at < body.length; at += 65_536) {
      if (!upload.write(body.subarray(at, at + 65_536))) await once(upload, 'drain');
    }
    upload.end();
    const [response] = (await answered) as [IncomingMessage];
    expect(await readBody(response)).toBe(await digestOf([body]));
    const download = await send('orders', '/source');
    expect((await download.arrayBuffer()).byteLength).toBe(megabytes * 1024 * 1024);
  });

  it('pass events on as they come, and end them when permission is withdrawn', async () => {
    const answer = await send('orders', '/events');
    const reader = answer.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    (open.at(-1) as ServerResponse).write('data: 1\n\n');
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('data: 1\n\n');
    const from = Date.now();
    await system.apply([policy({ name: 'orders', keys, rules: ['http.path != "/acme/orders/events"'] })]);
    await expect(reader.read()).rejects.toThrow('terminated');
    expect(Date.now() - from).toBeLessThan(2_000);
    expect((await send('orders', '/17')).status).toBe(200);
  });

  it('show an agent by its card, and carry its streams', async () => {
    const card = (await (await send('planner', '/.well-known/agent-card.json')).json()) as {
      supportedInterfaces: { url: string }[];
    };
    expect(card.supportedInterfaces.map(({ url }) => url)).toEqual([urlOf('planner')]);
    const answer = await fetch(card.supportedInterfaces[0]?.url ?? '', {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', 'a2a-version': '1.0' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'SendStreamingMessage', params: { message: {} } }),
    });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect((await answer.text()).match(/^data: /gm)).toHaveLength(2);
  });

  it('let no more calls pass than a limit allows', async () => {
    const answers = [];
    for (let i = 0; i < 3; i += 1) answers.push(await send('slow', '/1'));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[2]?.headers.get('retry-after')).toBe('1');
  });

  it('say which rule decides a request, without making it', async () => {
    const explained = (method: string, target: string) =>
      system.admin.config.explain({ scope: 'acme', route: 'orders', method, target, principal: { subject: 'alice' } });
    expect(await explained('GET', '/acme/orders/17')).toMatchObject({ allowed: true, rule: 'policy/orders/0' });
    expect(await explained('GET', '/acme/orders/events')).toMatchObject({ allowed: false });
    await expect(explained('GET', '/acme/elsewhere')).rejects.toThrow('is not below');
    const agent = { scope: 'acme', route: 'planner', principal: { subject: 'alice' } };
    expect(await system.admin.config.explain(agent)).toMatchObject({ allowed: true, rule: 'policy/planner/0' });
  });
});
