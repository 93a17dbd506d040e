import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { type LegacyMcpServer, startLegacyMcpServer, startSystem, type System, until } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { served, tools } from './routes.ts';

const key = Buffer.alloc(32, 7).toString('base64');

describe.each([
  ['plain', {}],
  ['sealed', { SIGNALBOX_PROXY_STATE_KEY: key }],
])('a last good file (%s) is damaged while the node is down', (_how, settings) => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl'), settings, nodes: 0 });
    await system.apply([...served(upstream.url), ...served(upstream.url, 'globex').slice(1)]);
  });
  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  it.each<[string, (file: string) => Promise<void>]>([
    ['cut in half', async (file) => truncate(file, Math.floor((await readFile(file)).length / 2))],
    ['cut by one byte', async (file) => truncate(file, (await readFile(file)).length - 1)],
    ['empty', (file) => truncate(file, 0)],
    [
      'with one bit turned',
      (file) => changed(file, (bytes) => bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)),
    ],
    ['that begins with zeros, as after a power cut', (file) => changed(file, (bytes) => bytes.fill(0, 0, 64))],
    ['that is another tenant’s', async (file) => writeFile(file, await readFile(file.replace('acme', 'globex')))],
  ])('%s: it is set aside, everything else is served, and the control plane makes it whole', async (_what, damage) => {
    const node = await system.startNode();
    await system.settled();
    const folder = await setsOf(node.stateFolder);
    await system.stopControlPlane();
    await node.stop();
    await damage(join(folder, 'acme.set'));

    const second = await system.startNode({}, node.id, node.stateFolder);
    await until('the other tenant', async () => ((await tools(second, 'globex')).length === 3 ? true : undefined));
    expect(second.proxy.table.value?.tenants.has('acme')).toBe(false);
    expect((await fetch(second.endpoint('acme', 'assistant'), { method: 'POST' })).status).toBe(404);
    expect(await readdir(folder)).toContain('acme.set.quarantined');

    await system.startControlPlane();
    await until('the tenant to be back', () =>
      second.proxy.table.value?.tenants.has('acme') === true ? true : undefined,
    );
    expect(await tools(second)).toHaveLength(3);
    await until('its file to be back', async () => ((await readdir(folder)).includes('acme.set') ? true : undefined));
    expect(await tools(second, 'globex')).toHaveLength(3);
    await second.stop();
  });
});

/** Where a node keeps its sets. */
function setsOf(stateFolder: string): Promise<string> {
  return until('the sets to be written', async () => {
    const names = await readdir(stateFolder, { recursive: true });
    const found = names.find((name) => name.endsWith('acme.set'));
    const all = ['operator', 'acme', 'globex'].every((scope) => names.some((name) => name.endsWith(`${scope}.set`)));
    return found !== undefined && all ? join(stateFolder, found, '..') : undefined;
  });
}

async function changed(file: string, change: (bytes: Buffer) => unknown): Promise<void> {
  const bytes = await readFile(file);
  change(bytes);
  await writeFile(file, bytes);
}
