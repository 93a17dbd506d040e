import { randomUUID } from 'node:crypto';

import { connect } from '@signalbox/control-plane/testing';
import { gateway, mcpRoute, startSystem, type System, tenant } from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { doc, refusalOf } from './api-fixture.ts';

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `spare-${from + at}`);
const backends = (list: readonly string[]) =>
  list.map((name) => doc('Backend', 'acme', name, { mcp: { url: 'http://127.0.0.1:1/' } }));
const refs = (list: readonly string[]) => list.map((name) => ['Backend', name] as const);

describe('a removal of more than half of a tenant', () => {
  let system: System;

  beforeEach(async () => {
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'a', url: 'http://127.0.0.1:1/mcp', anonymous: true }),
    ]);
    await system.admin.config.apply({ scope: 'acme', resources: backends(names(0, 24)) });
    await system.settled();
  });
  afterEach(() => system.stop());

  const served = () => system.node(0).proxy.table.value?.tenants.get('acme')?.revision;

  it('is refused by the API unless it is confirmed, and then reaches the nodes', async () => {
    const gone = names(0, 20).map((name) => ({ kind: 'Backend', name }));
    const refused = await refusalOf(system.admin.config.apply({ scope: 'acme', delete: gone }));
    expect(refused).toMatchObject({ code: 'InvalidArgument', problems: [{ code: 'unconfirmed-removal' }] });
    expect(refused.message).toContain('removes 20 of 28 resources');
    const { revision } = await system.admin.config.apply({ scope: 'acme', delete: gone, confirmRemoval: true });
    expect(await system.propagation('acme', revision)).toMatchObject({ done: true, nodes: [{ state: 3 }] });
  });

  it('may come in small steps, also to a node that saw none of them', async () => {
    const before = served();
    const { id, stateFolder } = system.node(0);
    await system.node(0).stop();
    await system.remove('acme', refs(names(0, 9)), { wait: false });
    await system.remove('acme', refs(names(9, 17)), { wait: false });
    const newest = await system.remove('acme', refs(names(17, 20)), { wait: false });
    const node = await system.startNode({}, id, stateFolder);
    await system.settled();
    expect(node.proxy.table.value?.tenants.get('acme')?.revision).toBe(newest);
    expect(newest).toBe((before ?? 0n) + 3n);
  });

  it('that nobody wrote, because the database has lost it, is refused by the node until somebody confirms', async () => {
    const before = served();
    await system.stopControlPlane();
    await using sql = {
      run: connect({ url: system.databaseUrl, connectTimeoutMs: 5_000 }),
      [Symbol.asyncDispose]: () => sql.run.end(),
    };
    await sql.run`delete from signalbox.resource where tenant = 'acme' and name like 'spare-%'`;
    await sql.run`update signalbox.tenant set revision = revision + 1 where name = 'acme'`;
    await system.startControlPlane();
    await expect
      .poll(async () => (await system.nodes())[0]?.lastNack?.refusals[0]?.message)
      .toContain('lacks 24 of the 28');
    expect(served()).toBe(before);
    const { revision } = await system.admin.config.apply({
      ...{ scope: 'acme', resources: backends(['one']), requestId: randomUUID(), confirmRemoval: true },
    });
    await system.settled();
    expect(served()).toBe(revision);
  });
});
