import { connect, Database, StoreBusy } from '@signalbox/control-plane/testing';
import { createMigratedDatabase } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { change, createTenants, databaseOptions, openReplica, type Replica, stored, write } from './store-fixture.ts';

let url: string;
let replica: Replica;

beforeAll(async () => {
  url = await createMigratedDatabase(inject('pgUrl'));
  replica = openReplica({ url });
  await createTenants(replica.store, 'one', 'two');
  for (const scope of ['one', 'two']) {
    await replica.store.write(write(scope, change({ put: stored('Backend', `of-${scope}`, scope) })));
  }
});
afterAll(() => replica[Symbol.asyncDispose]());

const tables = ['resource', 'revision', 'change_log', 'write_request'] as const;

describe('a statement in one scope', () => {
  it.each(tables)('sees only this scope in %s', async (table) => {
    const seen = await replica.database.read('one', ({ sql }) => sql`select tenant from signalbox.${sql(table)}`);
    expect(new Set(seen.map((row) => String(row['tenant'])))).toEqual(new Set(['one']));
  });

  it.each(tables)('sees nothing in %s when the scope is unset or unknown', async (table) => {
    for (const scope of ['', 'three']) {
      const seen = await replica.database.read(scope, ({ sql }) => sql`select tenant from signalbox.${sql(table)}`);
      expect(seen).toHaveLength(0);
    }
  });

  it('sees only its own row in the list of tenants; the operator sees all', async () => {
    const namesIn = async (scope: string) => {
      const rows = await replica.database.read(
        scope,
        ({ sql }) => sql`select name from signalbox.tenant order by name`,
      );
      return rows.map((row) => String(row['name']));
    };
    expect(await namesIn('one')).toEqual(['one']);
    expect(await namesIn('')).toEqual([]);
    expect(await namesIn('operator')).toEqual(['one', 'operator', 'two']);
  });

  it('cannot write into another', async () => {
    const intrusion = replica.database.write(
      'one',
      ({ sql }) => sql`insert into signalbox.resource (tenant, kind, name, revision, digest, body)
        values ('two', 'Backend', 'intruder', 9, '', '')`,
    );
    await expect(intrusion).rejects.toThrow('row-level security');
    const update = await replica.database.write(
      'one',
      ({ sql }) => sql`update signalbox.resource set body = '' where tenant = 'two'`,
    );
    expect(update.count).toBe(0);
  });

  it('cannot change history', async () => {
    const rewrite = replica.database.write('one', ({ sql }) => sql`update signalbox.change_log set name = 'x'`);
    await expect(rewrite).rejects.toThrow('permission denied');
    const erase = replica.database.write('one', ({ sql }) => sql`delete from signalbox.revision`);
    await expect(erase).rejects.toThrow('permission denied');
  });

  it('cannot change the schema', async () => {
    const drop = replica.database.write('one', ({ sql }) => sql`drop table signalbox.resource`);
    await expect(drop).rejects.toThrow('must be owner');
  });
});

describe('the tail', () => {
  it('sees every scope and can write into none', async () => {
    const seen = await replica.database.readAll((sql) => sql`select distinct tenant from signalbox.resource`);
    expect(seen).toHaveLength(3);
    const write = replica.database.readAll((sql) => sql`delete from signalbox.resource`);
    await expect(write).rejects.toThrow(/permission denied|read-only/);
  });

  it('cannot read tokens', async () => {
    await expect(replica.database.readAll((sql) => sql`select * from signalbox.token`)).rejects.toThrow(
      'permission denied',
    );
  });
});

describe('a connection', () => {
  it('carries no scope from one transaction to the next', async () => {
    const database = new Database({ url, ...databaseOptions, connections: 1 });
    await database.read('one', ({ sql }) => sql`select 1`);
    const [left] = await database.readAll(
      (sql) =>
        sql<{ scope: string; user: string }[]>`select current_setting('app.tenant') as scope, current_user as user`,
    );
    expect(left).toEqual({ scope: '', user: 'signalbox_tail' });
    await database.close();
    const plain = connect({ url, connectTimeoutMs: 5_000 });
    const [fresh] = await plain`select current_setting('app.tenant', true) as scope`;
    expect(fresh?.['scope']).toBeNull();
    await plain.end();
  });

  it('lets a statement outside of any transaction see and change nothing', async () => {
    const stray = connect({ url, connectTimeoutMs: 5_000, role: 'signalbox_app' });
    expect(await stray`select * from signalbox.tenant`).toHaveLength(0);
    expect((await stray`update signalbox.tenant set revision = revision + 1`).count).toBe(0);
    await stray.end();
  });

  it('is waited for by a bounded number of transactions; more are refused at once', async () => {
    const database = new Database({ url, ...databaseOptions, connections: 1, waiting: 2 });
    const slow = () => database.read('one', ({ sql }) => sql`select pg_sleep(0.2)`);
    const accepted = [slow(), slow(), slow()];
    await expect(slow()).rejects.toThrow(StoreBusy);
    await Promise.all(accepted);
    await slow();
    await database.close();
  });

  it('ends a statement that takes too long', async () => {
    const database = new Database({ url, ...databaseOptions, statementTimeoutMs: 100 });
    await expect(database.read('one', ({ sql }) => sql`select pg_sleep(5)`)).rejects.toThrow('statement timeout');
    await database.close();
  });
});
