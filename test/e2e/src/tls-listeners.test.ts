import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';

import {
  adminClient,
  gateway,
  type JwtIssuer,
  type LegacyMcpServer,
  mcpRoute,
  startJwtIssuer,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  type TestAuthority,
  testAuthority,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { callCli } from './cli-call.ts';

let folder: string;
let authority: TestAuthority;
let upstream: LegacyMcpServer;
let issuer: JwtIssuer;
let system: System;
/** Of a proxy with each of the codecs. */
const listeners = { own: 0, node: 0 };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-test-tls-'));
  authority = await testAuthority(folder);
  upstream = await startLegacyMcpServer();
  issuer = await startJwtIssuer();
  const [plane, proxy, other] = await Promise.all(['plane', 'proxy', 'other'].map((name) => authority.write(name)));
  if (!plane || !proxy || !other) throw new Error('certificates are missing');
  system = await startSystem({
    pgUrl: inject('pgUrl'),
    ca: authority.ca,
    controlPlane: {
      SIGNALBOX_TLS_CERT: plane.certFile,
      SIGNALBOX_TLS_KEY: plane.keyFile,
      SIGNALBOX_TLS_POLL: '100',
    },
    settings: {
      SIGNALBOX_PROXY_DISCOVERY_CA: authority.certFile,
      SIGNALBOX_PROXY_TLS_CERT: proxy.certFile,
      SIGNALBOX_PROXY_TLS_KEY: proxy.keyFile,
      SIGNALBOX_TLS_POLL: '100',
    },
  });
  await system.apply([
    gateway(),
    tenant(),
    ...mcpRoute({ name: 'assistant', url: upstream.url, keys: { alice: 'alice-key' }, rules: ['true'] }),
    ...mcpRoute({ name: 'guarded', url: upstream.url, jwt: issuer, rules: ['true'] }),
  ]);
  await system.startNode({
    SIGNALBOX_PROXY_HTTP_CODEC: 'node',
    SIGNALBOX_PROXY_TLS_CERT: other.certFile,
    SIGNALBOX_PROXY_TLS_KEY: other.keyFile,
  });
  listeners.own = system.node(0).proxy.listeners()[0]?.port ?? 0;
  listeners.node = system.node(1).proxy.listeners()[0]?.port ?? 0;
});
afterAll(async () => {
  await system.stop();
  await upstream.stop();
  await issuer.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly challenge: string;
  readonly body: string;
}

function call(url: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca: authority.ca, method: body === undefined ? 'GET' : 'POST', headers, agent: false });
    sent.on('error', reject).on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      const challenge = response.headers['www-authenticate'] ?? '';
      response.on('end', () => resolve({ status: response.statusCode ?? 0, challenge, body: text }));
    });
    sent.end(body);
  });
}

async function shown(
  port: number,
  options: { readonly ALPNProtocols?: string[]; readonly maxVersion?: 'TLSv1.1' } = {},
) {
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const connecting = connect({ host: 'localhost', port, ca: authority.ca, ...options }, () => resolve(connecting));
    connecting.on('error', reject);
  });
  const found = { serial: socket.getPeerCertificate().serialNumber.toLowerCase(), alpn: socket.alpnProtocol };
  socket.destroy();
  return found;
}

const discoveryPort = () => Number(system.nodeSettings()['SIGNALBOX_PROXY_DISCOVERY_ADDRESS']?.split(':')[1]);
const apiPort = () => Number(new URL(system.apiUrl).port);

describe('with certificates', () => {
  const initialize = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  });
  const post = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };

  it.each(['own', 'node'] as const)(
    'agents are served by the %s codec, and told so in metadata and challenges',
    async (codec) => {
      const origin = `https://127.0.0.1:${listeners[codec]}`;
      const answer = await call(
        `${origin}/acme/assistant/mcp`,
        { ...post, authorization: 'Bearer alice-key' },
        initialize,
      );
      expect(answer.status).toBe(200);
      const refused = await call(`${origin}/acme/guarded/mcp`, post, initialize);
      const metadata = `${origin}/.well-known/oauth-protected-resource/acme/guarded/mcp`;
      expect([refused.status, refused.challenge]).toEqual([401, `Bearer resource_metadata="${metadata}"`]);
      expect(JSON.parse((await call(metadata)).body)).toMatchObject({ resource: `${origin}/acme/guarded/mcp` });
    },
  );

  it('the command line talks to the control plane, and to no other that cannot prove itself', async () => {
    const environment = { SIGNALBOX_URL: system.apiUrl, SIGNALBOX_TOKEN: system.operatorToken };
    const found = await callCli(['nodes', '-o', 'json'], {
      environment: { ...environment, SIGNALBOX_CA_FILE: authority.certFile },
    });
    expect(JSON.parse(found.out)).toMatchObject([
      { id: 'node-0', connected: true },
      { id: 'node-1', connected: true },
    ]);
    const doubtful = await callCli(['nodes'], { environment });
    expect(doubtful.status).not.toBe(0);
    expect(doubtful.err).toMatch(/certificate/);
  });

  it('HTTP/2 is offered to agents and to callers of the API, and old TLS to nobody', async () => {
    for (const port of [listeners.own, listeners.node]) {
      expect((await shown(port, { ALPNProtocols: ['h2', 'http/1.1'] })).alpn).toBe('h2');
      await expect(shown(port, { ALPNProtocols: ['h3'] })).rejects.toThrow(/alert/);
    }
    expect((await shown(apiPort(), { ALPNProtocols: ['h2'] })).alpn).toBe('h2');
    const overGrpc = adminClient(system.apiUrl, system.operatorToken, authority.ca, 'gRPC');
    expect((await overGrpc.nodes.listNodes({})).nodes).toHaveLength(2);
    for (const port of [listeners.own, listeners.node, apiPort()]) {
      expect((await shown(port, { ALPNProtocols: ['http/1.1'] })).alpn).toBe('http/1.1');
      await expect(shown(port, { maxVersion: 'TLSv1.1' })).rejects.toThrow(/protocol|version|alert/i);
    }
  });

  it.each([
    ['the API', 'plane', () => apiPort()],
    ['discovery', 'plane', () => discoveryPort()],
    ['a listener with our own codec', 'proxy', () => listeners.own],
    ['a listener with that of Node.js', 'other', () => listeners.node],
  ])('those of %s are replaced while it runs, and bad ones change nothing', async (_case, file, port) => {
    const before = await shown(port());
    await writeFile(join(folder, `${file}.crt`), 'nonsense');
    await system.nodes();
    expect(await shown(port())).toEqual(before);
    const next = await authority.write(file);
    await until('the new certificate', async () => ((await shown(port())).serial === next.serial ? true : undefined));
    expect((await system.nodes())[0]?.connected).toBe(true);
  });
});
