import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  proxyReady,
  type ProxyProcess,
  RawMcpClient,
  startLegacyMcpServer,
  startProxyProcess,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

let upstream: LegacyMcpServer;
let folder: string;
let file: string;
const started: ProxyProcess[] = [];

beforeAll(async () => {
  upstream = await startLegacyMcpServer();
});
afterAll(() => upstream.stop());

async function ownFolder(): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-file-'));
  file = join(folder, 'signalbox.yaml');
}

/** A file whose API key comes from the environment. */
function content(rules: readonly string[], variable = 'ALICE_KEY'): string {
  const route = mcpRoute({ name: 'assistant', url: upstream.url, keys: { alice: 'x' }, rules });
  const text = yaml([gateway(), tenant(), ...route]);
  return text.replace(/"sha256": "[0-9a-f]+"/, `"key": "\${env:${variable}}"`);
}

async function start(): Promise<ProxyProcess> {
  const proxy = await startProxyProcess({ config: file, env: { ALICE_KEY: 'from-the-environment' } });
  started.push(proxy);
  return proxy;
}

async function stopAll(): Promise<void> {
  await Promise.all(started.splice(0).map((proxy) => proxy.stop()));
  await rm(folder, { recursive: true, force: true });
}

// The tests tell one story, in order.
describe('a proxy that serves a file', () => {
  let proxy: ProxyProcess;
  let client: RawMcpClient;

  beforeAll(async () => {
    await ownFolder();
    await writeFile(file, content(['true']));
    proxy = await start();
    await proxyReady(proxy);
    client = new RawMcpClient({ url: proxy.endpoint('acme', 'assistant'), token: 'from-the-environment' });
    await client.initialize();
  });
  afterAll(stopAll);

  it('serves it, with secrets from the environment, and shows them nowhere', async () => {
    expect(await client.toolNames()).toHaveLength(3);
    const dump = await (await fetch(`${proxy.adminUrl}/config_dump`)).text();
    expect(dump).toContain('assistant');
    expect(dump + proxy.output()).not.toContain('from-the-environment');
  });

  it('keeps what it serves when the file goes bad, says where, and serves the next good one', async () => {
    await writeFile(file, content(['tool.name ==']));
    await until('the complaint', () => (proxy.output().includes('spec.authorization[0].when') ? true : undefined));
    expect(proxy.output()).toMatch(/signalbox\.yaml:\d+/);
    expect(await client.toolNames()).toHaveLength(3);
    await writeFile(file, content(['tool.name == "hidden"']));
    await until('the change', async () => ((await client.toolNames()).length === 1 ? true : undefined));
    expect(await client.toolNames()).toEqual(['hidden']);
  });

  it('serves a file that takes its place, without a restart and without dropping the session', async () => {
    await writeFile(join(folder, 'next'), content(['tool.name == "echo"']));
    await rename(join(folder, 'next'), file);
    await until('the change', async () => ((await client.toolNames())[0] === 'echo' ? true : undefined));
    expect(await client.toolNames()).toEqual(['echo']);
  });
});

describe('a proxy whose file cannot be served', () => {
  afterEach(stopAll);

  it.each<[string, () => string, RegExp]>([
    ['a variable that is not set', () => content(['true'], 'NOT_SET'), /signalbox\.yaml:\d+.*NOT_SET/s],
    [
      'a field that does not exist',
      () => content(['true']).replace('"members"', '"membres"'),
      /signalbox\.yaml:\d+.*membres/s,
    ],
    ['no YAML', () => 'kind: [', /signalbox\.yaml:\d+/],
  ])('does not start with %s, and says which line', async (_name, text, complaint) => {
    await ownFolder();
    await writeFile(file, text());
    const proxy = await start();
    expect(await proxy.exited).toBe(1);
    expect(proxy.output()).toMatch(complaint);
  });
});
