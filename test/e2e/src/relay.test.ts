import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { relaySettings, type RunningRelay, startRelay } from '@signalbox/control-plane';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  type System,
  type SystemNode,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

describe('a proxy below a relay', () => {
  let upstream: LegacyMcpServer;
  let system: System;
  let folder: string;
  let relays: RunningRelay[];

  beforeEach(async () => {
    relays = [];
    folder = await mkdtemp(join(tmpdir(), 'signalbox-test-relay-'));
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 0 });
    await system.apply([gateway(), tenant(), ...route('assistant')], { wait: false });
  });
  afterEach(async () => {
    await system.stop();
    for (const relay of relays) await relay.stop(2_000);
    await upstream.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const route = (name: string) => mcpRoute({ name, url: upstream.url, keys: { alice: 'alice-key' }, rules: ['true'] });
  const startRelayBelow = async (port = 0) => {
    const credential = { name: 'relay', role: Role.RELAY, gateway: 'default' };
    const { secret } = await system.admin.tokens.createToken(credential);
    const running = await startRelay({
      logger: new MemoryLogger(),
      settings: readSettings(relaySettings, {
        SIGNALBOX_RELAY_UPSTREAM: system.nodeSettings()['SIGNALBOX_PROXY_DISCOVERY_ADDRESS'],
        SIGNALBOX_RELAY_TOKEN: secret,
        SIGNALBOX_RELAY_STATUS_LISTEN: '127.0.0.1:0',
        SIGNALBOX_RELAY_BACKOFF_MIN: '10',
        SIGNALBOX_RELAY_BACKOFF_MAX: '100',
        SIGNALBOX_DISCOVERY_LISTEN: `127.0.0.1:${port}`,
        SIGNALBOX_STATE: join(folder, 'relay'),
        SIGNALBOX_SNAPSHOT_INTERVAL: '100',
      }),
    });
    relays.push(running);
    return running;
  };
  const startNode = ({ discoveryAddress: { host, port } }: RunningRelay, more: Record<string, string> = {}) =>
    system.startNode({ SIGNALBOX_PROXY_DISCOVERY_ADDRESS: `${host}:${port}`, ...more });
  const status = async (node: SystemNode, name = 'assistant') => {
    const client = new RawMcpClient({ url: node.endpoint('acme', name), token: 'alice-key' });
    return (await client.initialize()).status;
  };
  const served = (node: SystemNode, name: string) =>
    until(`${name} to be served`, async () => ((await status(node, name)) === 200 ? true : undefined));

  it('serves what is written at the control plane, as it changes', async () => {
    const node = await startNode(await startRelayBelow());
    await served(node, 'assistant');
    await system.apply(route('other'), { wait: false });
    await served(node, 'other');
    expect(node.proxy.table.value?.tenants.get('acme')?.revision).toBe(await system.revision('acme'));
  });

  it('loads tenants on demand through it', async () => {
    const node = await startNode(await startRelayBelow(), { SIGNALBOX_PROXY_TENANTS: 'on-demand' });
    expect([...(node.proxy.table.value?.tenants.keys() ?? [])]).toEqual([]);
    expect(await status(node)).toBe(200);
  });

  it('starts and is served while the control plane is away, and follows when it is back', async () => {
    const relay = await startRelayBelow();
    await served(await startNode(relay), 'assistant');
    await system.stopControlPlane();
    const late = await startNode(relay);
    await until('the node to listen', () => (late.proxy.listeners().length > 0 ? true : undefined));
    expect(await status(late)).toBe(200);
    await system.startControlPlane();
    await system.apply(route('other'), { wait: false });
    await served(late, 'other');
  });
});
