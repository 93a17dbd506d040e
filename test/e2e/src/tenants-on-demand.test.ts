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
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

const onDemand = {
  SIGNALBOX_PROXY_TENANTS: 'on-demand',
  SIGNALBOX_PROXY_TENANT_WAIT: '5000',
  SIGNALBOX_PROXY_TENANT_RETRY: '50',
};

describe('a node that loads tenants on demand', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 0 });
    await system.apply([gateway(), ...['acme', 'globex'].flatMap((name) => [tenant(name), ...route(name)])]);
  });
  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  const route = (owner: string, name = 'assistant') =>
    mcpRoute({ tenant: owner, name, url: upstream.url, keys: { alice: 'alice-key' }, rules: ['true'] });
  const start = (settings: Record<string, string> = {}, ...more: string[]) =>
    system.startNode({ ...onDemand, ...settings }, ...(more as []));
  const initialize = (node: SystemNode, owner: string, name = 'assistant') => {
    const client = new RawMcpClient({ url: node.endpoint(owner, name), token: 'alice-key' });
    return client.initialize().then(({ status }) => ({ client, status }));
  };
  const tenants = (node: SystemNode) => [...(node.proxy.table.value?.tenants.keys() ?? [])];
  const scopes = async (node: SystemNode) => {
    const found = (await system.nodes()).find(({ id }) => id === node.id);
    return found?.scopes.map(({ scope }) => scope).toSorted();
  };

  it('holds none at first, and each from the first request for it, however many come at once', async () => {
    const node = await start();
    expect(tenants(node)).toEqual([]);
    const all = await Promise.all(Array.from({ length: 20 }, () => initialize(node, 'acme')));
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
    expect([tenants(node), await scopes(node)]).toEqual([['acme'], ['acme', 'operator']]);
    expect(await all[0]?.client.toolNames()).toHaveLength(3);
  });

  it('follows what it holds like any node, and is no part of what happens elsewhere', async () => {
    const node = await start();
    await initialize(node, 'acme');
    const revisions = await system.apply([...route('acme', 'other'), ...route('globex', 'other')], { wait: false });
    const { done, nodes } = await system.propagation('acme', revisions.get('acme'));
    expect([done, nodes.map(({ node: id }) => id)]).toEqual([true, [node.id]]);
    expect((await initialize(node, 'acme', 'other')).status).toBe(200);
    expect((await system.propagation('globex', revisions.get('globex'))).nodes).toEqual([]);
    expect(tenants(node)).toEqual(['acme']);
  });

  it('answers at once for paths of nobody, and for a tenant that has nothing, whose first set is there when it is written', async () => {
    const node = await start();
    await system.apply([tenant('empty')], { wait: false });
    await until('the tenant to be known', () => node.proxy.table.value?.operator?.tenants.get('empty'));
    expect((await initialize(node, 'nobody')).status).toBe(404);
    expect((await initialize(node, 'empty')).status).toBe(404);
    await until('the events', async () => ((await node.events()).length === 2 ? true : undefined));
    expect((await node.events()).map(({ error }) => error)).toEqual(['unknown_path', 'unknown_path']);
    expect(tenants(node)).toEqual(['empty']);
    await system.apply(route('empty'), { wait: false });
    await until('the tenant to be served', async () =>
      (await initialize(node, 'empty')).status === 200 ? true : undefined,
    );
  });

  it('gives up what nobody uses, but not under an open stream, and loads it again', async () => {
    const node = await start({ SIGNALBOX_PROXY_TENANT_IDLE: '300' });
    await initialize(node, 'globex');
    const { client } = await initialize(node, 'acme');
    const { stream } = await client.get();
    await until('the idle tenant to go', () => (tenants(node).includes('globex') ? undefined : true));
    await until('the control plane to know', async () => ((await scopes(node))?.includes('globex') ? undefined : true));
    expect([tenants(node), await scopes(node)]).toEqual([['acme'], ['acme', 'operator']]);
    stream?.close();
    await until('the other to go', () => (tenants(node).length === 0 ? true : undefined));
    expect((await initialize(node, 'acme')).status).toBe(200);
  });

  it('serves what it holds without the control plane, also after a restart, and says that it cannot load more', async () => {
    const node = await start({ SIGNALBOX_PROXY_TENANT_WAIT: '200' });
    await initialize(node, 'acme');
    await system.stopControlPlane();
    expect((await initialize(node, 'acme')).status).toBe(200);
    expect((await initialize(node, 'globex')).status).toBe(503);
    await node.stop();
    const again = await start({ SIGNALBOX_PROXY_TENANT_WAIT: '200' }, node.id, node.stateFolder);
    await until('the node to listen', () => (again.proxy.listeners().length > 0 ? true : undefined));
    expect((await initialize(again, 'acme')).status).toBe(200);
    await system.startControlPlane();
    await until('the other tenant to be loaded', async () =>
      (await initialize(again, 'globex')).status === 200 ? true : undefined,
    );
  });

  it('may ask only for tenants that its token covers, and knows no other', async () => {
    const bound = { name: 'bound', role: Role.NODE, gateway: 'default', tenants: ['acme'] };
    const { secret } = await system.admin.tokens.createToken(bound);
    const node = await start({ SIGNALBOX_PROXY_TOKEN: secret });
    expect((await initialize(node, 'acme')).status).toBe(200);
    expect((await initialize(node, 'globex')).status).toBe(404);
    expect([...(node.proxy.table.value?.operator?.tenants.keys() ?? [])]).toEqual(['acme']);
  });
});
