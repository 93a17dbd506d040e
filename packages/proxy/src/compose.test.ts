import { request } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Snapshot } from '@signalbox/config';
import { systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RunningProxy, startProxy } from './compose.ts';
import { ConfigFileError } from './discovery/config-source.ts';
import { LastGood } from './discovery/last-good.ts';
import { readProxySettings } from './settings.ts';
import { operatorSet, tenantSet } from './testing/config-sets.ts';

let folder = '';
const running: RunningProxy[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proxy-'));
});
afterEach(async () => {
  for (const proxy of running.splice(0)) await proxy.stop(1_000, 0);
  await rm(folder, { recursive: true });
});

const document = (kind: string, name: string, spec: string) =>
  `apiVersion: signalbox.dev/v1\nkind: ${kind}\nmetadata: { tenant: acme, name: ${name} }\nspec: ${spec}\n---\n`;
const config = [
  document('Backend', 'weather', '{ mcp: { url: "http://127.0.0.1:1/mcp" } }'),
  document('VirtualServer', 'assistant', '{ members: [{ backend: weather }] }'),
  document(
    'Route',
    'assistant',
    '{ gateway: default, match: { path: /acme/assistant }, mcp: { virtualServer: assistant } }',
  ),
].join('');

async function started(
  variables: Readonly<Record<string, string>>,
  logger = new MemoryLogger(),
): Promise<RunningProxy> {
  const settings = readProxySettings({
    SIGNALBOX_PROXY_STATE: join(folder, 'state'),
    SIGNALBOX_PROXY_LISTEN: '127.0.0.1:0',
    SIGNALBOX_PROXY_ADMIN_LISTEN: '127.0.0.1:0',
    ...variables,
  });
  const proxy = await startProxy({ settings, environment: {}, logger });
  running.push(proxy);
  return proxy;
}

async function withFile(text: string): Promise<Readonly<Record<string, string>>> {
  const path = join(folder, 'config.yaml');
  await writeFile(path, text);
  return { SIGNALBOX_PROXY_CONFIG: path };
}

/** Nothing answers discovery here. */
const unreachable = { SIGNALBOX_PROXY_DISCOVERY_ADDRESS: '127.0.0.1:1', SIGNALBOX_PROXY_TOKEN: 'token' };

async function keepOnDisk(...sets: readonly Snapshot[]): Promise<void> {
  const lastGood = new LastGood({
    folder: join(folder, 'state', 'last-good'),
    key: undefined,
    maxFileBytes: 1_000_000,
    maxScopes: 10,
    retryMs: 1_000,
    clock: systemClock,
    random: systemRandom,
    logger: new MemoryLogger(),
    onWriteFailed: () => undefined,
  });
  await lastGood.load();
  for (const snapshot of sets) lastGood.save({ snapshot, manifestVersion: '1' });
  await lastGood.close(new AbortController().signal);
}

function post(port: number, path: string): Promise<{ status: number; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', agent: false, headers }, (response) => {
      response
        .resume()
        .on('end', () => resolve({ status: response.statusCode ?? 0, connection: response.headers.connection }));
    });
    sent.on('error', reject).end('{}');
  });
}

const portOf = (proxy: RunningProxy) => proxy.listeners()[0]?.port ?? 0;
const readiness = async (proxy: RunningProxy) => (await fetch(`${proxy.adminUrl}/readyz`)).status;

describe('a proxy', () => {
  it('serves files: it listens, is ready, and lets nobody in whom no policy names', async () => {
    const proxy = await started(await withFile(config));
    expect(await readiness(proxy)).toBe(200);
    expect((await post(portOf(proxy), '/acme/assistant/mcp')).status).toBe(401);
    expect((await post(portOf(proxy), '/elsewhere/mcp')).status).toBe(404);
  });

  it('does not start with files that are wrong', async () => {
    await expect(started(await withFile(config.replace('backend: weather', 'backend: wether')))).rejects.toThrow(
      ConfigFileError,
    );
  });

  it('says what to set when it is given neither files nor a control plane', async () => {
    await expect(started({})).rejects.toThrow(/SIGNALBOX_PROXY_TOKEN.*SIGNALBOX_PROXY_CONFIG/);
  });

  it('does not send its token without TLS to another machine', async () => {
    const elsewhere = { ...unreachable, SIGNALBOX_PROXY_DISCOVERY_ADDRESS: '192.0.2.1:7071' };
    await expect(started(elsewhere)).rejects.toThrow(/SIGNALBOX_ALLOW_PLAINTEXT=true/);
  });

  it('serves what it served last while the control plane cannot be reached', async () => {
    await keepOnDisk(operatorSet(3n, ['acme']), tenantSet('acme', 7n, { routes: ['a'] }));
    const proxy = await started(unreachable);
    expect(await readiness(proxy)).toBe(200);
    expect(proxy.table.value?.tenants.get('acme')?.revision).toBe(7n);
    expect((await post(portOf(proxy), '/acme/b/mcp')).status).toBe(404);
    expect((await post(portOf(proxy), '/acme/a/mcp')).status).toBe(400);
  });

  it('is not ready, and serves nothing, before it was told what to serve', async () => {
    const proxy = await started(unreachable);
    expect(await readiness(proxy)).toBe(503);
    expect(proxy.listeners()).toEqual([]);
    expect(proxy.table.admit()).toBeUndefined();
  });

  it('keeps its name over restarts', async () => {
    const first = await started(unreachable);
    await first.stop(1_000, 0);
    const second = await started(unreachable);
    expect(second.nodeId).toBe(first.nodeId);
  });

  it('is unready at once when it stops, answers on closing connections for a while, then listens no more', async () => {
    const proxy = await started(await withFile(config));
    const port = portOf(proxy);
    const stopped = proxy.stop(10_000, 300);
    expect(await readiness(proxy)).toBe(503);
    expect(await post(port, '/elsewhere/mcp')).toEqual({ status: 404, connection: 'close' });
    expect(await stopped).toBe(true);
    await expect(post(port, '/elsewhere/mcp')).rejects.toThrow(/ECONNREFUSED/);
    await expect(readiness(proxy)).rejects.toThrow(/fetch failed/);
  });
});
