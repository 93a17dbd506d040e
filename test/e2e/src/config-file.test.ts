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
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

describe('a proxy that serves a file', () => {
  let upstream: LegacyMcpServer;
  let folder: string;
  let file: string;
  const started: ProxyProcess[] = [];

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    folder = await mkdtemp(join(tmpdir(), 'signalbox-file-'));
    file = join(folder, 'signalbox.yaml');
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((proxy) => proxy.stop()));
    await upstream.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A file whose API key comes from the environment. */
  const content = (rules: readonly string[], variable = 'ALICE_KEY'): string =>
    yaml([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'assistant', url: upstream.url, keys: { alice: 'x' }, rules }),
    ]).replace(/"sha256": "[0-9a-f]+"/, `"key": "\${env:${variable}}"`);

  const start = async (env: Record<string, string> = { ALICE_KEY: 'from-the-environment' }): Promise<ProxyProcess> => {
    const proxy = await startProxyProcess({ config: file, env });
    started.push(proxy);
    return proxy;
  };

  const connect = async (proxy: ProxyProcess): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: proxy.endpoint('acme', 'assistant'), token: 'from-the-environment' });
    expect((await client.initialize()).status).toBe(200);
    return client;
  };

  it('serves it, with secrets from the environment, and shows them nowhere', async () => {
    await writeFile(file, content(['true']));
    const proxy = await start();
    await proxyReady(proxy);
    const client = await connect(proxy);
    expect(await client.toolNames()).toHaveLength(3);
    const dump = await (await fetch(`${proxy.adminUrl}/config_dump`)).text();
    expect(dump).toContain('assistant');
    expect(dump + proxy.output()).not.toContain('from-the-environment');
  });

  it('serves a change without a restart and without dropping the session', async () => {
    await writeFile(file, content(['true']));
    const proxy = await start();
    await proxyReady(proxy);
    const client = await connect(proxy);
    await writeFile(join(folder, 'next'), content(['tool.name == "echo"']));
    await rename(join(folder, 'next'), file);
    await until('the change', async () => ((await client.toolNames()).length === 1 ? true : undefined));
    expect(await client.toolNames()).toEqual(['echo']);
  });

  it('keeps what it serves when the file goes bad, says where, and serves the next good one', async () => {
    await writeFile(file, content(['true']));
    const proxy = await start();
    await proxyReady(proxy);
    const client = await connect(proxy);
    await writeFile(file, content(['tool.name ==']));
    await until('the complaint', () => (proxy.output().includes('spec.authorization[0].when') ? true : undefined));
    expect(proxy.output()).toMatch(/signalbox\.yaml:\d+/);
    expect(await client.toolNames()).toHaveLength(3);
    await writeFile(file, content(['tool.name == "echo"']));
    await until('the change', async () => ((await client.toolNames()).length === 1 ? true : undefined));
  });

  it.each<[string, () => string, RegExp]>([
    ['a variable that is not set', () => content(['true'], 'NOT_SET'), /signalbox\.yaml:\d+.*NOT_SET/s],
    [
      'a field that does not exist',
      () => content(['true']).replace('"members"', '"membres"'),
      /signalbox\.yaml:\d+.*membres/s,
    ],
    ['no YAML', () => 'kind: [', /signalbox\.yaml:\d+/],
  ])('does not start with %s, and says which line', async (_name, text, complaint) => {
    await writeFile(file, text());
    const proxy = await start();
    expect(await proxy.exited).toBe(1);
    expect(proxy.output()).toMatch(complaint);
  });
});
