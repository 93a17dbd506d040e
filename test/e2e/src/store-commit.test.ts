import { makeSnapshot } from '@signalbox/config';
import { connect } from '@signalbox/control-plane/testing';
import { createMigratedDatabase, startTcpProxy, until } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';

import { change, createTenants, openReplica, type Replica, stored, waitsForLock, write } from './store-fixture.ts';

let url: string;
let replica: Replica;
let tenants = 0;

beforeAll(async () => {
  url = await createMigratedDatabase(inject('pgUrl'));
  replica = openReplica({ url });
});
afterAll(() => replica[Symbol.asyncDispose]());

/** A tenant that no other test uses. */
async function tenant(): Promise<string> {
  const name = `tenant-${(tenants += 1)}`;
  await createTenants(replica.store, name);
  return name;
}

const backend = (name: string, content = 'a') => ({ put: stored('Backend', name, content) });
const names = (list: Awaited<ReturnType<Replica['store']['list']>>) =>
  list?.resources.map(
    ({ resource, revision }) => `${resource.name}=${Buffer.from(resource.body).toString()}@${revision}`,
  );

describe('a write', () => {
  it('makes one revision of all its changes', async () => {
    const scope = await tenant();
    const outcome = await replica.store.write(write(scope, change(backend('a'), backend('b')), { message: 'first' }));
    expect(outcome).toMatchObject({ outcome: 'committed', revision: 1n, committed: true });
    expect(names(await replica.store.list(scope))).toEqual(['a=a@1', 'b=a@1']);
    expect(await replica.store.revisions(scope, { limit: 10, before: undefined })).toMatchObject([
      { revision: 1n, parent: 0n, cause: 'apply', author: 'test', message: 'first', changeCount: 2 },
    ]);
  });

  it('that changes nothing makes no revision', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a'))));
    const again = await replica.store.write(write(scope, change(backend('a'))));
    expect(again).toMatchObject({ outcome: 'unchanged', revision: 1n, committed: false, changes: [] });
  });

  it('is refused when another revision is the newest', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a'))));
    const stale = await replica.store.write(write(scope, change(backend('a', 'b')), { ifMatch: 0n }));
    expect(stale).toEqual({ outcome: 'revision-mismatch', newest: 1n });
    const fresh = await replica.store.write(write(scope, change(backend('a', 'b')), { ifMatch: 1n }));
    expect(fresh).toMatchObject({ outcome: 'committed', revision: 2n });
  });

  it('that its plan refuses leaves nothing behind', async () => {
    const scope = await tenant();
    const outcome = await replica.store.write(write(scope, () => Promise.resolve({ outcome: 'refuse', problems: [] })));
    expect(outcome).toEqual({ outcome: 'refused', problems: [] });
    expect(await replica.store.list(scope)).toMatchObject({ revision: 0n, resources: [] });
  });

  it('of a scope that does not exist says so', async () => {
    expect(await replica.store.write(write('nobody', change()))).toEqual({ outcome: 'no-such-scope' });
    expect(await replica.store.list('nobody')).toBeUndefined();
    expect(await replica.store.revisions('nobody', { limit: 1, before: undefined })).toBeUndefined();
  });
});

describe('a request id', () => {
  const requestId = '6f9c1d4e-3f0c-4f5e-9f0b-0d6f0a7b1c2d';

  it('has one effect, and later calls get the answer of the first although If-Match is stale by then', async () => {
    const scope = await tenant();
    const first = write(scope, change(backend('a')), { requestId, ifMatch: 0n });
    await replica.store.write(first);
    await replica.store.write(write(scope, change(backend('b'))));
    const repeated = await replica.store.write(first);
    expect(repeated).toMatchObject({ outcome: 'repeated', revision: 1n, committed: true });
    expect(repeated).toMatchObject({ changes: [{ op: 'create', name: 'a' }] });
    expect(await replica.store.list(scope)).toMatchObject({ revision: 2n });
  });

  it('of a request that changed nothing does not change anything later', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a'))));
    const same = write(scope, change(backend('a')), { requestId });
    await replica.store.write(same);
    await replica.store.write(write(scope, change(backend('a', 'newer'))));
    expect(await replica.store.write(same)).toMatchObject({ outcome: 'repeated', revision: 1n, committed: false });
    expect(names(await replica.store.list(scope))).toEqual(['a=newer@2']);
  });

  it('cannot be used for another request', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a')), { requestId }));
    const other = write(scope, change(backend('b')), { requestId, fingerprint: 'other' });
    expect(await replica.store.write(other)).toEqual({ outcome: 'request-id-reused' });
  });

  it('of one tenant means nothing to another', async () => {
    const [one, two] = [await tenant(), await tenant()];
    await replica.store.write(write(one, change(backend('a')), { requestId }));
    expect(await replica.store.write(write(two, change(backend('a')), { requestId }))).toMatchObject({
      outcome: 'committed',
    });
  });
});

describe('writers at the same time', () => {
  it('of one tenant get revisions without gaps and lose nothing', async () => {
    const scope = await tenant();
    await using other = openReplica({ url });
    const writes = Array.from({ length: 60 }, (_, i) =>
      (i % 2 ? replica : other).store.write(write(scope, change(backend(`b${i}`)))),
    );
    const outcomes = await Promise.all(writes);
    const revisions = outcomes.map((outcome) => ('revision' in outcome ? Number(outcome.revision) : 0));
    expect(revisions.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    expect((await replica.store.list(scope))?.resources).toHaveLength(60);
  });

  it('see what the operator committed before them, and he sees what they committed', async () => {
    const scope = await tenant();
    const looking = Promise.withResolvers<void>();
    const decide = Promise.withResolvers<void>();
    const slow = replica.store.write(
      write(scope, async (inputs) => {
        looking.resolve();
        await decide.promise;
        return change(backend('a'))(inputs);
      }),
    );
    await looking.promise;
    const seen: number[] = [];
    const operator = replica.store.write(
      write('operator', async (inputs) => {
        for await (const snapshot of inputs.tenants()) if (snapshot.scope === scope) seen.push(snapshot.resources.size);
        return change({ put: stored('Gateway', 'g', scope) })(inputs);
      }),
    );
    await until('the operator to wait for the tenant', () => waitsForLock(url));
    decide.resolve();
    await Promise.all([slow, operator]);
    expect(seen).toEqual([1]);
  });

  it('whose connections are cut at any moment have one effect each', { timeout: 60_000 }, async () => {
    const scope = await tenant();
    await using victim = openReplica({ url, options: { connections: 4, connectTimeoutMs: 1_000 } });
    const killer = connect({ url, connectTimeoutMs: 5_000 });
    let isOver = false;
    onTestFinished(() => {
      isOver = true;
      return killer.end();
    });
    // One cut for each write that came through: by the clock, nobody ever would on a machine that is slow.
    const cut = () => killer`select pg_sleep(random() * 0.015), pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'signalbox' and pid <> pg_backend_pid() and datname = current_database()
      and state <> 'idle' order by random() limit 1`;
    const count = 120;
    let cuts = 0;
    const writer = async (from: number) => {
      for (let i = from; i < count; i += 4) {
        const request = write(scope, change(backend(`b${i}`)), { requestId: uuid(i), fingerprint: String(i) });
        let outcome;
        while (!outcome && !isOver) outcome = await victim.store.write(request).catch(() => undefined);
        cuts += (await cut()).length;
      }
    };
    await Promise.all([writer(0), writer(1), writer(2), writer(3)]);
    expect(cuts).toBeGreaterThan(count / 10);
    expect(await replica.store.list(scope)).toMatchObject({ revision: BigInt(count) });
    expect((await replica.store.list(scope))?.resources).toHaveLength(count);
    const revisions = await replica.store.revisions(scope, { limit: 1_000, before: undefined });
    expect(revisions?.map(({ changeCount }) => changeCount)).toEqual(Array.from({ length: count }, () => 1));
  });
});

describe('history', () => {
  it('shows each revision with what was there before', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a', '1'), backend('b', '1'))));
    await replica.store.write(
      write(scope, change(backend('a', '2'), { delete: { kind: 'Backend', name: 'b' } }, backend('c', '1'))),
    );
    const second = await replica.store.revision(scope, 2n);
    expect(second?.changes.map(({ op, name }) => `${op} ${name}`)).toEqual(['update a', 'delete b', 'create c']);
    expect(second?.changes[0]).toMatchObject({ before: { body: Buffer.from('1') }, after: { body: Buffer.from('2') } });
    expect(await replica.store.revision(scope, 3n)).toBeUndefined();
  });

  it('gives every revision back as it was', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a', '1'), backend('b', '1'))));
    await replica.store.write(write(scope, change({ delete: { kind: 'Backend', name: 'b' } }, backend('a', '2'))));
    const at = (revision: bigint) => replica.store.read(scope, (inputs) => inputs.at(revision));
    expect([...((await at(1n))?.resources.keys() ?? [])].sort()).toEqual(['Backend/a', 'Backend/b']);
    expect([...((await at(2n))?.resources.keys() ?? [])]).toEqual(['Backend/a']);
    expect((await at(0n))?.resources.size).toBe(0);
    expect(await at(3n)).toBeUndefined();
  });

  it('becomes a new revision when rolled back', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a', '1'))));
    await replica.store.write(write(scope, change(backend('a', '2'), backend('b'))));
    const outcome = await replica.store.write(
      write(
        scope,
        async (inputs) => ({
          outcome: 'write',
          candidate: makeSnapshot(scope, inputs.current.revision + 1n, (await inputs.at(1n))?.resources.values() ?? []),
          warnings: [],
        }),
        { cause: 'rollback' },
      ),
    );
    expect(outcome).toMatchObject({ outcome: 'committed', revision: 3n });
    expect(names(await replica.store.list(scope))).toEqual(['a=1@3']);
  });

  it('is listed from the newest, page by page', async () => {
    const scope = await tenant();
    for (const content of ['1', '2', '3']) await replica.store.write(write(scope, change(backend('a', content))));
    const page = async (before?: bigint) =>
      (await replica.store.revisions(scope, { limit: 2, before }))?.map(({ revision }) => revision);
    expect(await page()).toEqual([3n, 2n]);
    expect(await page(2n)).toEqual([1n]);
  });
});

describe('what a write waits for', () => {
  it('is the database, twice, when it has what it needs in memory', async () => {
    const scope = await tenant();
    const { port } = new URL(url);
    let isAnswered = true;
    let waits = 0;
    const proxy = await startTcpProxy({
      ports: [Number(port)],
      onClientBytes: () => {
        if (isAnswered) waits += 1;
        isAnswered = false;
      },
      onServerBytes: () => (isAnswered = true),
    });
    onTestFinished(() => proxy.stop());
    const through = Object.assign(new URL(url), { port: String(proxy.port) });
    await using near = openReplica({ url: through.href, options: { connections: 1 }, notifies: false });
    // The connection is made, and knows its statements.
    for (const content of ['1', '2']) await near.store.write(write(scope, change(backend('a', content))));
    waits = 0;
    await near.store.write(write(scope, change(backend('a', '3'))));
    expect(waits).toBe(2);
  });

  it('is not what is served already, in the revision and of the time that the database has', async () => {
    const scope = await tenant();
    const snapshot = makeSnapshot(scope, 1n, [stored('Backend', 'served', '')]);
    let committedAtMs = 0;
    await using other = openReplica({
      url,
      served: (name) => (name === scope ? { snapshot, committedAtMs } : undefined),
    });
    await replica.store.write(write(scope, change(backend('a'))));
    const [written] = (await replica.store.revisions(scope, { limit: 1, before: undefined })) ?? [];
    const seen = () => other.store.read(scope, ({ current }) => Promise.resolve([...current.resources.keys()]));
    committedAtMs = written?.at.getTime() ?? 0;
    expect(await seen()).toEqual(['Backend/served']);
    committedAtMs -= 1;
    expect(await seen()).toEqual(['Backend/a']);
  });
});

describe('after a failover that lost a revision', () => {
  it('the store does not build on what it remembers of it', async () => {
    const scope = await tenant();
    await using other = openReplica({ url });
    await replica.store.write(write(scope, change(backend('lost'))));
    const database = connect({ url, connectTimeoutMs: 5_000 });
    await database`delete from signalbox.change_log where tenant = ${scope}`;
    await database`delete from signalbox.revision where tenant = ${scope}`;
    await database`delete from signalbox.resource where tenant = ${scope}`;
    await database`update signalbox.tenant set revision = 0, resource_count = 0 where name = ${scope}`;
    await database.end();
    await other.store.write(write(scope, change(backend('instead'))));
    const outcome = await replica.store.write(write(scope, change(backend('next'))));
    expect(outcome).toMatchObject({ revision: 2n, changes: [{ op: 'create', name: 'next' }] });
    expect(names(await replica.store.list(scope))).toEqual(['instead=a@1', 'next=a@2']);
    expect(await replica.store.read(scope, ({ current }) => Promise.resolve([...current.resources.keys()]))).toEqual([
      'Backend/instead',
      'Backend/next',
    ]);
  });
});

describe('a tenant', () => {
  it('is listed with its revision and size', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a'), backend('b'))));
    await replica.store.write(write(scope, change({ delete: { kind: 'Backend', name: 'b' } })));
    expect(await replica.store.tenant(scope)).toMatchObject({ name: scope, revision: 2n, resourceCount: 1 });
    expect((await replica.store.tenants()).map(({ name }) => name)).toContain(scope);
  });

  it('cannot be removed while it has resources, unless they go with it', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('a'))));
    const remove = change({ delete: { kind: 'Tenant', name: scope } });
    const refused = await replica.store.write(write('operator', remove));
    expect(refused).toMatchObject({ outcome: 'refused', problems: [{ code: 'still-referenced', name: scope }] });
    const forced = await replica.store.write(write('operator', remove, { emptyRemovedTenants: true }));
    expect(forced).toMatchObject({ outcome: 'committed' });
    expect(await replica.store.tenant(scope)).toBeUndefined();
    expect(await replica.store.list(scope)).toBeUndefined();
  });

  it('that gets the name of a removed one sees nothing of it and goes on with higher revisions', async () => {
    const scope = await tenant();
    await replica.store.write(write(scope, change(backend('old'))));
    const remove = change({ delete: { kind: 'Tenant', name: scope } });
    await replica.store.write(write('operator', remove, { emptyRemovedTenants: true }));
    await createTenants(replica.store, scope);
    expect(await replica.store.list(scope)).toMatchObject({ revision: 2n, resources: [] });
    expect(await replica.store.revisions(scope, { limit: 10, before: undefined })).toEqual([]);
    expect(await replica.store.revision(scope, 1n)).toBeUndefined();
    expect(await replica.store.read(scope, (inputs) => inputs.at(1n))).toBeUndefined();
    expect(await replica.store.write(write(scope, change(backend('new'))))).toMatchObject({ revision: 3n });
  });
});

function uuid(i: number): string {
  return `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`;
}
