// Items 61 and 62 of the acceptance list, on a real control plane: with its database gone, and with itself gone.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConnectError } from '@connectrpc/connect';
import { Propagation_Outcome } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import {
  gateway,
  mcpRoute,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  tenant,
  until,
} from '@signalbox/test-harness';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, afterEach, beforeAll, expect, inject, it, onTestFinished } from 'vitest';
import { backend, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType } from './native-names.ts';
import { DeltaStream } from './raw-stream.ts';

let dataDir: string;
let postgres: RunningPostgres | undefined;
beforeAll(async () => void (dataDir = await mkdtemp(join(tmpdir(), 'signalbox-conformance-'))));
afterEach(() => postgres?.stop());
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** One cluster for all, which tests start and stop. */
async function startDatabase(port = 0): Promise<RunningPostgres> {
  return (postgres = await startPostgres({ dataDir, port, durable: true }));
}

it('61. Without Postgres streams old and new are served from memory, writes fail soon, and staleness is exported.', async () => {
  const database = await startDatabase();
  await using plane = await startControlPlaneFor(database.url);
  const acme = await plane.tenant();
  const to = await plane.subscriber({ tenants: [acme] });
  const open: DeltaStream[] = [];
  const stream = () => {
    const opened = new DeltaStream(to);
    open.push(opened);
    return opened;
  };
  const name = backendName(acme, 'a');
  const old = stream();
  old.ack(await old.ask({ typeUrl: backendType }));
  await plane.backends(acme, { a: '1' });
  const held = await old.next();
  expect(held.names).toEqual([name]);
  old.ack(held);

  await database.stop();
  const writing = plane.admin.config.apply({ scope: acme, resources: [backend(acme, 'b', '1')] });
  await expect(writing).rejects.toSatisfy((error) => ConnectError.from(error).code === 14);
  old.send({ typeUrl: backendType, resourceNamesSubscribe: [name] });
  expect((await old.next()).versions).toEqual(held.versions);
  const fresh = await stream().ask({ typeUrl: backendType }, 'node-2');
  expect(fresh.versions).toEqual(held.versions);
  const back = await stream().ask({ typeUrl: backendType, initialResourceVersions: { ...held.versions } });
  expect(back).toMatchObject({ names: [], removed: [] });
  await until('staleness to be told', async () => {
    const seconds = await plane.metric('signalbox_config_staleness_seconds');
    return seconds > 0 ? true : undefined;
  });
  for (const each of open) each.cancel();
});

it('60. Without Postgres a replica shows its own nodes, says that there may be others, and calls nothing complete.', async () => {
  const database = await startDatabase();
  const settings = { SIGNALBOX_REPLICA_LEASE: '1000', SIGNALBOX_NODES_RETURN: '0' };
  await using plane = await startControlPlaneFor(database.url, settings);
  const acme = await plane.tenant();
  const revision = await plane.backends(acme, { a: '1' });
  const stream = new DeltaStream(await plane.subscriber({ tenants: [acme] }));
  for (const typeUrl of [backendType, manifestType]) stream.ack(await stream.ask({ typeUrl }));
  await stream.fence();
  const propagation = async () => (await plane.admin.config.getPropagation({ scope: acme, revision })).propagation;
  expect(await propagation()).toMatchObject({ outcome: Propagation_Outcome.COMPLETE, incomplete: '' });

  await database.stop();
  const { nodes, incomplete } = await plane.admin.nodes.listNodes({ scope: acme });
  expect(nodes).toMatchObject([{ id: 'node-1', connected: true, scopes: [{ appliedRevision: revision }] }]);
  expect(incomplete).toContain('the database does not answer');
  expect(await propagation()).toMatchObject({
    ...{ outcome: Propagation_Outcome.IN_PROGRESS, counts: { connected: 1, applied: 1 } },
    incomplete: expect.stringContaining('the database does not answer'),
  });

  await startDatabase(Number(new URL(database.url).port));
  const said = new Set<string>();
  await until('the revision to be complete again', async () => {
    const state = await propagation();
    if (state?.incomplete) said.add(state.incomplete);
    return state?.outcome === Propagation_Outcome.COMPLETE ? true : undefined;
  });
  expect([...said].some((each) => each.includes('just come back'))).toBe(true);
  stream.cancel();
});

it('62. Without a control plane a node restarts from disk and serves; when it is back only the difference flows.', async () => {
  const upstream = await startLegacyMcpServer();
  onTestFinished(() => upstream.stop());
  const system = await startSystem({ pgUrl: inject('pgUrl') });
  onTestFinished(() => system.stop());
  const keys = { alice: 'alice-key' };
  const padding = Array.from({ length: 50 }, (_, i) =>
    mcpRoute({ name: `padding-${i}`, url: `${upstream.url}?${'x'.repeat(500)}`, keys, rules: ['true'] }),
  );
  const served = mcpRoute({ name: 'assistant', url: upstream.url, keys, rules: ['true'] });
  await system.apply([gateway(), tenant(), ...served, ...padding.flat()]);
  const bytesSent = async () => {
    const text = await (await fetch(`${system.apiUrl}/metrics`)).text();
    return Number(/^signalbox_discovery_response_bytes_total (\d+)/m.exec(text)?.[1] ?? 0);
  };
  const whole = await bytesSent();

  const first = system.node(0);
  await system.stopControlPlane();
  await first.stop();
  const second = await system.startNode({}, first.id, first.stateFolder);
  const client = new RawMcpClient({ url: second.endpoint('acme', 'assistant'), token: 'alice-key' });
  await client.initialize();
  expect(await client.toolNames()).toHaveLength(3);

  await system.startControlPlane();
  await until('the node to be back', async () => {
    const nodes = await system.nodes();
    return nodes.some(({ id, connected }) => id === first.id && connected) ? true : undefined;
  });
  await system.settled();
  expect(await bytesSent()).toBeLessThan(whole / 20);
  const more = mcpRoute({ name: 'later', url: upstream.url, keys, rules: ['true'] });
  await system.apply(more);
  expect(await bytesSent()).toBeLessThan(whole / 10);
});
