import { connect, migrate, type Migration, migrationOf } from '@signalbox/control-plane/testing';
import { systemClock } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { createDatabase } from '@signalbox/test-harness';
import { describe, expect, inject, it } from 'vitest';

import { change, migrated, openReplica, stored, write } from './store-fixture.ts';

const connectTimeoutMs = 5_000;
const one = migrationOf('0001-one.sql', 'create table signalbox.one (id integer primary key)');
const two = migrationOf('0002-two.sql', 'alter table signalbox.one add column name text');

/** Migrates; what the log says. */
async function run(
  url: string,
  migrations: readonly Migration[],
  options = { lockTimeoutMs: 3_000, deadlineMs: 10_000 },
) {
  const logger = new MemoryLogger();
  await migrate({ url, connectTimeoutMs, clock: systemClock, logger, migrations, ...options });
  return logger.lines.map(({ message, fields: { migration } }) =>
    typeof migration === 'string' ? `${message} ${migration}` : message,
  );
}

describe('migrations', () => {
  it('run once each, in order, and later only the new ones', async () => {
    const url = await createDatabase(inject('pgUrl'));
    expect(await run(url, [one])).toEqual(['migrated 0001-one']);
    expect(await run(url, [one, two])).toEqual(['migrated 0002-two']);
    expect(await run(url, [one, two])).toEqual([]);
  });

  it('of processes that start together run once', async () => {
    const url = await createDatabase(inject('pgUrl'));
    const logs = await Promise.all([run(url, [one, two]), run(url, [one, two]), run(url, [one, two])]);
    expect(logs.flat().filter((line) => line.startsWith('migrated'))).toHaveLength(2);
  });

  it('refuse a database that a newer version has migrated', async () => {
    const url = await createDatabase(inject('pgUrl'));
    await run(url, [one, two]);
    await expect(run(url, [one])).rejects.toThrow('migrated by a newer Signalbox (0002-two');
  });

  it('refuse to go on when a file has changed since it ran', async () => {
    const url = await createDatabase(inject('pgUrl'));
    await run(url, [one]);
    await expect(run(url, [migrationOf('0001-one.sql', 'select 1'), two])).rejects.toThrow('0001-one has changed');
  });

  it('that fail leave nothing behind', async () => {
    const url = await createDatabase(inject('pgUrl'));
    await expect(run(url, [one, migrationOf('0002-bad.sql', 'create tabel x ()')])).rejects.toThrow('syntax error');
    expect(await run(url, [one])).toEqual(['migrated 0001-one']);
  });

  it('stand back from a lock that others hold, so that nobody queues behind them, and try again', async () => {
    const url = await createDatabase(inject('pgUrl'));
    await run(url, [one]);
    const holder = connect({ url, connectTimeoutMs });
    const reader = connect({ url, connectTimeoutMs });
    let reads = 0;
    let holding = true;
    const locked = Promise.withResolvers<void>();
    const held = holder.begin(async (sql) => {
      await sql`lock table signalbox.one in row exclusive mode`;
      locked.resolve();
      await sql`select pg_sleep(1.5)`;
      holding = false;
    });
    await locked.promise;
    const migrating = run(url, [one, two], { lockTimeoutMs: 100, deadlineMs: 20_000 });
    while (holding) {
      await reader`select count(*), pg_sleep(0.005) from signalbox.one`;
      reads += 1;
    }
    await held;
    const log = await migrating;
    await Promise.all([holder.end(), reader.end()]);
    expect(log.at(0)).toBe('migration waits for a lock that another session holds');
    expect(log.at(-1)).toBe('migrated 0002-two');
    // Behind a migration that waited in the queue the first read would last until the lock was free.
    expect(reads).toBeGreaterThan(2);
  });

  it('give up at the deadline', async () => {
    const url = await createDatabase(inject('pgUrl'));
    await run(url, [one]);
    const holder = connect({ url, connectTimeoutMs });
    await holder.begin(async (sql) => {
      await sql`lock table signalbox.one in row exclusive mode`;
      await expect(run(url, [one, two], { lockTimeoutMs: 50, deadlineMs: 0 })).rejects.toThrow('lock timeout');
    });
    await holder.end();
  });
});

describe('the schema', () => {
  const owners = [
    ['has created the roles and so may make himself a member', 'with admin true, inherit false, set false'],
    ['was made a member by someone else', 'with inherit false'],
  ] as const;
  it.each(owners)('works for an owner who %s, and holds even him to row security', async (_who, membership) => {
    await migrated(await createDatabase(inject('pgUrl')));
    const superuser = connect({ url: await createDatabase(inject('pgUrl')), connectTimeoutMs });
    const [{ database } = { database: '' }] = await superuser`select current_database() as database`;
    const owner = `owner_of_${database}`;
    await superuser.unsafe(`create role ${owner} login; alter database ${database} owner to ${owner};
      grant signalbox_app, signalbox_tail to ${owner} ${membership}`);
    const url = new URL(inject('pgUrl'));
    url.username = owner;
    url.pathname = `/${database}`;
    await migrated(url.href);

    await using replica = openReplica({ url: url.href });
    await replica.store.write(write('operator', change({ put: stored('Tenant', 'acme', 'a') })));
    await replica.store.write(write('acme', change({ put: stored('Backend', 'b', 'b') })));
    expect((await replica.store.list('acme'))?.resources).toHaveLength(1);

    const direct = connect({ url: url.href, connectTimeoutMs });
    expect(await direct`select * from signalbox.resource`).toHaveLength(0);
    await Promise.all([direct.end(), superuser.end()]);
  });
});
