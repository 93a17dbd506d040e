import {
  type ChangeListener,
  connect,
  type CommittedRevision,
  type CommittedScope,
} from '@signalbox/control-plane/testing';
import { systemClock } from '@signalbox/runtime';
import { SeededRandom } from '@signalbox/runtime/testing';
import { createMigratedDatabase, until } from '@signalbox/test-harness';
import { beforeEach, describe, expect, inject, it } from 'vitest';

import { change, createTenants, openReplica, type Replica, stored, write } from './store-fixture.ts';

let url: string;
beforeEach(async () => {
  url = await createMigratedDatabase(inject('pgUrl'));
  await slowDown();
});

/** Holds what the feed says and checks at every step that no revision is skipped, repeated or cut. */
class Follower implements ChangeListener {
  readonly scopes = new Map<string, { revision: bigint; resources: Map<string, string> }>();
  readonly wrong: string[] = [];
  /** Milliseconds from commit to arrival. */
  readonly delaysMs: number[] = [];
  readonly #stepsMayCoverMore: boolean;

  constructor(stepsMayCoverMore = false) {
    this.#stepsMayCoverMore = stepsMayCoverMore;
  }

  loaded(scopes: readonly CommittedScope[]): void {
    for (const { scope, revision, resources } of scopes) {
      const contents = resources.map(
        ({ kind, name, body }) => [`${kind}/${name}`, Buffer.from(body).toString()] as const,
      );
      this.scopes.set(scope, { revision, resources: new Map(contents) });
    }
  }

  committed(revisions: readonly CommittedRevision[]): void {
    for (const { scope, revision, changes, committedAtMs } of revisions) {
      const before = this.scopes.get(scope) ?? { revision: 0n, resources: new Map<string, string>() };
      const isNext = this.#stepsMayCoverMore ? revision > before.revision : revision === before.revision + 1n;
      if (!isNext) this.wrong.push(`${scope}: ${revision} after ${before.revision}`);
      for (const { kind, name, resource } of changes) {
        if (resource) before.resources.set(`${kind}/${name}`, Buffer.from(resource.body).toString());
        else before.resources.delete(`${kind}/${name}`);
      }
      this.scopes.set(scope, { revision, resources: before.resources });
      this.delaysMs.push(systemClock.now() - committedAtMs);
    }
  }
}

/** What a follower that missed nothing holds. */
async function truth({ store }: Replica) {
  const scopes = new Map<string, { revision: bigint; resources: Map<string, string> }>();
  for (const scope of tenants) {
    const list = await store.list(scope);
    const contents = list?.resources.map(
      ({ resource: { kind, name, body } }) => [`${kind}/${name}`, Buffer.from(body).toString()] as const,
    );
    if (list && list.revision > 0n) scopes.set(scope, { revision: list.revision, resources: new Map(contents) });
  }
  return { scopes, wrong: [] as string[] };
}

const tenants = ['t0', 't1', 't2', 't3'];

/** Lets transactions take 0 to 20 ms more, so that they commit in another order than they begin. */
async function slowDown(): Promise<void> {
  const sql = connect({ url, connectTimeoutMs: 5_000 });
  await sql.unsafe(`create function slow() returns trigger language plpgsql as
    'begin perform pg_sleep(random() * 0.02); return new; end';
    create trigger slow after insert on signalbox.revision for each row execute function slow()`);
  await sql.end();
}

async function writeALot(replica: Replica, { writers, writes }: { writers: number; writes: number }): Promise<void> {
  const random = new SeededRandom(7);
  const writer = async (i: number) => {
    for (let n = 0; n < writes; n += 1) {
      const scope = tenants[Math.floor(random.fraction() * tenants.length)] ?? 't0';
      const name = `b${Math.floor(random.fraction() * 20)}`;
      const plan = change(
        { put: stored('Backend', name, `${i}.${n}`) },
        { put: stored('Route', name, `${i}.${n}`) },
        ...(n % 5 === 0 ? [{ delete: { kind: 'Backend' as const, name: `b${n % 20}` } }] : []),
      );
      await replica.store.write(write(scope, plan));
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, i) => writer(i)));
}

/** What a follower holds once it is as far as the store. */
async function caughtUp(follower: Follower, replica: Replica): Promise<Awaited<ReturnType<typeof truth>>> {
  const expected = await truth(replica);
  const isThere = ([scope, { revision }]: [string, { revision: bigint }]) =>
    (follower.scopes.get(scope)?.revision ?? 0n) >= revision;
  await until('the follower to hold everything', () => ([...expected.scopes].every(isThere) ? true : undefined));
  const held = [...follower.scopes].filter(([scope]) => scope !== 'operator');
  return { scopes: new Map(held), wrong: follower.wrong };
}

describe('the tail', () => {
  it('begins with everything there is', async () => {
    await using replica = openReplica({ url });
    await createTenants(replica.store, ...tenants);
    await replica.store.write(write('t0', change({ put: stored('Backend', 'a', '1') })));
    const follower = new Follower();
    await replica.tail.start(follower);
    expect([...follower.scopes.keys()].sort()).toEqual(['operator', 't0']);
    expect(follower.scopes.get('t0')).toEqual({ revision: 1n, resources: new Map([['Backend/a', '1']]) });
  });

  it('begins with an empty operator scope on a new database', async () => {
    await using replica = openReplica({ url });
    const follower = new Follower();
    await replica.tail.start(follower);
    expect(follower.scopes).toEqual(new Map([['operator', { revision: 0n, resources: new Map() }]]));
  });

  it('misses nothing and keeps the order while many write, on every replica', { timeout: 120_000 }, async () => {
    await using writing = openReplica({ url, options: { connections: 16 } });
    await using reading = openReplica({ url });
    await createTenants(writing.store, ...tenants);
    const followers = [new Follower(), new Follower()] as const;
    await writing.tail.start(followers[0]);
    await reading.tail.start(followers[1]);
    await writeALot(writing, { writers: 16, writes: 20 });
    expect(await caughtUp(followers[0], writing)).toEqual(await truth(writing));
    expect(await caughtUp(followers[1], writing)).toEqual(await truth(writing));
  });

  it('misses nothing when it reads pages of a few rows, which cut revisions', { timeout: 120_000 }, async () => {
    await using writing = openReplica({ url, options: { connections: 16 } });
    await using reading = openReplica({ url, pageRows: 3 });
    await createTenants(writing.store, ...tenants);
    const follower = new Follower();
    await reading.tail.start(follower);
    await writeALot(writing, { writers: 8, writes: 20 });
    expect(await caughtUp(follower, writing)).toEqual(await truth(writing));
  });

  it('finds everything by polling when no notification arrives', { timeout: 120_000 }, async () => {
    await using writing = openReplica({ url, options: { connections: 16 } });
    await using reading = openReplica({ url, notifies: false, pollMs: 20 });
    await createTenants(writing.store, ...tenants);
    const follower = new Follower();
    await reading.tail.start(follower);
    await writeALot(writing, { writers: 8, writes: 20 });
    expect(await caughtUp(follower, writing)).toEqual(await truth(writing));
  });

  it('does not wait for a long transaction elsewhere', { timeout: 120_000 }, async () => {
    await using replica = openReplica({ url, options: { connections: 8 } });
    await createTenants(replica.store, ...tenants);
    const follower = new Follower();
    await replica.tail.start(follower);
    const other = connect({ url, connectTimeoutMs: 5_000 });
    await other`create table elsewhere (id integer)`;
    const begun = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const long = other.begin(async (sql) => {
      await sql`insert into elsewhere values (1)`;
      begun.resolve();
      await finish.promise;
    });
    await begun.promise;
    await writeALot(replica, { writers: 4, writes: 10 });
    expect(await caughtUp(follower, replica)).toEqual(await truth(replica));
    finish.resolve();
    await long;
    await writeALot(replica, { writers: 2, writes: 5 });
    expect(await caughtUp(follower, replica)).toEqual(await truth(replica));
    await other.end();
  });

  it('is woken by the doorbell of another replica long before it would poll', async () => {
    await using writing = openReplica({ url });
    await using reading = openReplica({ url, pollMs: 60_000 });
    await createTenants(writing.store, ...tenants);
    const follower = new Follower();
    await writing.tail.start(new Follower());
    await reading.tail.start(follower);
    await writing.store.write(write('t0', change({ put: stored('Backend', 'a', '1') })));
    expect(await caughtUp(follower, writing)).toEqual(await truth(writing));
  });

  it('has what its own replica commits when the write returns', async () => {
    await using replica = openReplica({ url, pollMs: 60_000 });
    await createTenants(replica.store, ...tenants);
    const follower = new Follower();
    await replica.tail.start(follower);
    for (const content of ['1', '2']) {
      await replica.store.write(write('t0', change({ put: stored('Backend', 'a', content) })));
    }
    expect(follower.scopes.get('t0')).toEqual({ revision: 2n, resources: new Map([['Backend/a', '2']]) });
    expect(follower.wrong).toEqual([]);
  });

  it('does not let an own commit overtake one of another replica', async () => {
    await using other = openReplica({ url, notifies: false });
    await using replica = openReplica({ url, pollMs: 60_000 });
    await createTenants(other.store, ...tenants);
    const follower = new Follower();
    await replica.tail.start(follower);
    await other.store.write(write('t0', change({ put: stored('Backend', 'a', '1') })));
    await replica.store.write(write('t0', change({ put: stored('Backend', 'b', '1') })));
    expect(await caughtUp(follower, replica)).toEqual(await truth(replica));
  });

  it('tells a revision as committed when the database says that it was', async () => {
    await using other = openReplica({ url });
    await using replica = openReplica({ url });
    await createTenants(other.store, ...tenants);
    const told: CommittedRevision[] = [];
    const listener = {
      loaded: () => undefined,
      committed: (all: readonly CommittedRevision[]) => void told.push(...all),
    };
    await replica.tail.start(listener);
    await other.tail.start(listener);
    const changes = [{ put: stored('Backend', 'a', '1') }, { put: stored('Backend', 'b', '1') }];
    await replica.store.write(write('t0', change(...changes)));
    await until('both replicas to tell it', () => (told.length === 2 ? true : undefined));
    const [own, read] = told.map((each) => ({
      ...each,
      changes: each.changes.toSorted((x, y) => (x.name < y.name ? -1 : 1)),
    }));
    expect(own).toEqual(read);
  });

  it('goes on after all its connections are cut, and finds what was committed meanwhile', async () => {
    await using writing = openReplica({ url });
    await using reading = openReplica({ url, pollMs: 50 });
    await createTenants(writing.store, ...tenants);
    const follower = new Follower();
    await reading.tail.start(follower);
    const killer = connect({ url, connectTimeoutMs: 5_000 });
    for (let i = 0; i < 5; i += 1) {
      await killer`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'signalbox' and pid <> pg_backend_pid() and datname = current_database()`;
      await writing.store.write(write('t0', change({ put: stored('Backend', 'a', String(i)) })));
    }
    await killer.end();
    expect(await caughtUp(follower, writing)).toEqual(await truth(writing));
  });

  it('reads scopes anew when more is in the log than it may hold', { timeout: 120_000 }, async () => {
    await using writing = openReplica({ url, options: { connections: 8 } });
    await using reading = openReplica({ url, pageRows: 5, passRows: 10, notifies: false, pollMs: 100 });
    await createTenants(writing.store, ...tenants);
    const follower = new Follower(true);
    await reading.tail.start(follower);
    await writeALot(writing, { writers: 8, writes: 15 });
    expect(await caughtUp(follower, writing)).toEqual(await truth(writing));
  });

  it('follows a tenant that is removed and created again', async () => {
    await using replica = openReplica({ url });
    await createTenants(replica.store, ...tenants);
    await replica.store.write(write('t0', change({ put: stored('Backend', 'a', '1') })));
    const follower = new Follower();
    await replica.tail.start(follower);
    const remove = change({ delete: { kind: 'Tenant', name: 't0' } });
    await replica.store.write(write('operator', remove, { emptyRemovedTenants: true }));
    await until('the last revision of t0', () => (follower.scopes.get('t0')?.resources.size === 0 ? true : undefined));
    await createTenants(replica.store, 't0');
    await replica.store.write(write('t0', change({ put: stored('Backend', 'new', '1') })));
    expect(await caughtUp(follower, replica)).toEqual(await truth(replica));
    expect(follower.scopes.get('t0')?.revision).toBe(3n);
  });
});
