import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Code } from '@connectrpc/connect';
import { type LegacyMcpServer, startLegacyMcpServer, startSystem, type System, until } from '@signalbox/test-harness';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { served, tools, untilApplied } from './routes.ts';
import { gapsIn, Writer } from './writer.ts';

describe('Postgres is stopped under load and comes back', () => {
  let folder: string;
  let postgres: RunningPostgres;
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-fault-postgres-'));
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port: 0, durable: true });
  });
  afterAll(async () => {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: postgres.url, nodes: 2 });
    await system.apply(served(upstream.url));
  });
  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  it.each([
    ['in order', () => postgres.stop()],
    ['at once', () => postgres.stop(AbortSignal.abort())],
  ])('%s: no acknowledged change is lost or made twice, and every node ends on the last', async (_how, stop) => {
    const writer = new Writer([system.admin], 'acme');
    writer.start();
    await until('some commits', () => (writer.written.acknowledged.size >= 10 ? true : undefined));
    await stop();
    await until('writes to fail', () => (writer.written.failures.length >= 3 ? true : undefined));
    expect(await tools(system.node(0))).toHaveLength(3);
    const port = Number(new URL(postgres.url).port);
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port, durable: true });
    const before = writer.written.acknowledged.size;
    await until('commits after the return', () => (writer.written.acknowledged.size >= before + 10 ? true : undefined));
    const last = await writer.stop();

    const { acknowledged, failures } = writer.written;
    expect(new Set(failures.map(({ code }) => code))).toEqual(new Set([Code.Unavailable]));
    expect(Math.max(...failures.map(({ milliseconds }) => milliseconds))).toBeLessThan(2_000);
    expect(gapsIn([...acknowledged.keys()])).toEqual([]);
    expect(await system.revision('acme')).toBe(last);
    for (const [revision, text] of [...acknowledged].slice(-5)) {
      const { changes } = await system.admin.config.getRevision({ scope: 'acme', revision });
      expect(changes[0]?.after).toMatchObject({ mcp: { url: expect.stringMatching(`/${text}$`) as string } });
    }
    for (const node of ['node-0', 'node-1']) await untilApplied(system, node, last);
    expect(await tools(system.node(1))).toHaveLength(3);
  });
});
