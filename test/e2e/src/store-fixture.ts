import { applyChanges, digestOf, type Kind, type SnapshotChange, type StoredResource } from '@signalbox/config';
import {
  type CommittedRevision,
  connect,
  Database,
  type DatabaseOptions,
  Doorbell,
  migrate,
  PostgresStore,
  type PostgresStoreOptions,
  Tail,
  type WriteInputs,
  type WritePlan,
  type WriteRequest,
} from '@signalbox/control-plane/testing';
import { Metrics, systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';

export const databaseOptions: Omit<DatabaseOptions, 'url'> = {
  connections: 8,
  waiting: 1_000,
  statementTimeoutMs: 20_000,
  lockTimeoutMs: 20_000,
  connectTimeoutMs: 5_000,
  retryAfterMs: 0,
  transactionTimeoutMs: 60_000,
  clock: systemClock,
  metrics: new Metrics(),
};

/** Brings a database to the newest schema. */
export async function migrated(url: string): Promise<string> {
  const parts = { clock: systemClock, logger: new MemoryLogger() };
  await migrate({ ...parts, url, connectTimeoutMs: 5_000, lockTimeoutMs: 3_000, deadlineMs: 30_000 });
  return url;
}

/** One replica's store, doorbell and tail. Whoever opens it closes it. */
export interface Replica extends AsyncDisposable {
  readonly database: Database;
  readonly store: PostgresStore;
  readonly tail: Tail;
}

export interface ReplicaOptions {
  readonly url: string;
  readonly options?: Partial<DatabaseOptions>;
  /** False: neither doorbell nor kick, so that only the poll finds changes. */
  readonly notifies?: boolean;
  readonly pollMs?: number;
  readonly pageRows?: number;
  readonly passRows?: number;
  /** What its publisher would serve; absent: nothing. */
  readonly served?: PostgresStoreOptions['served'];
}

export function openReplica(replica: ReplicaOptions): Replica {
  const { url, notifies = true, pollMs = 250, pageRows = 5_000, passRows = 100_000 } = replica;
  const parts = { clock: systemClock, logger: new MemoryLogger(), metrics: new Metrics() };
  const database = new Database({ url, ...databaseOptions, ...replica.options });
  const doorbell = new Doorbell({ ...parts, random: systemRandom, url, connectTimeoutMs: 5_000, coalesceMs: 2 });
  const silent = { listen: () => Promise.resolve() };
  const tail = new Tail({ ...parts, database, doorbell: notifies ? doorbell : silent, pollMs, pageRows, passRows });
  const onCommit = (committed: CommittedRevision | undefined) => {
    if (!notifies) return;
    if (committed) tail.committed(committed);
    else tail.kick();
    doorbell.ring();
  };
  const store = new PostgresStore({
    database,
    random: systemRandom,
    requestIdHours: 1,
    cachedResources: 1_000,
    removalMinimum: 3,
    served: replica.served ?? (() => undefined),
    onCommit,
  });
  return {
    database,
    store,
    tail,
    [Symbol.asyncDispose]: async () => {
      await tail.stop();
      await doorbell.stop();
      await database.close();
    },
  };
}

/** A resource whose content is the text: the store looks into none. */
export function stored(kind: Kind, name: string, content: string): StoredResource {
  const body = Buffer.from(content);
  return { kind, name, body, digest: digestOf(body) };
}

/** A plan that judges nothing. */
export function change(...changes: readonly SnapshotChange[]): (inputs: WriteInputs) => Promise<WritePlan> {
  return ({ current }) =>
    Promise.resolve({
      outcome: 'write',
      candidate: applyChanges(current, current.revision + 1n, changes),
      warnings: [],
    });
}

/** A write with everything that does not matter filled in. */
export function write(
  scope: string,
  plan: WriteRequest['plan'],
  more: Partial<Omit<WriteRequest, 'scope' | 'plan'>> = {},
): WriteRequest {
  return {
    ...{ scope, plan, author: 'test', message: '', cause: 'apply', fingerprint: 'x' },
    ...{ requestId: undefined, ifMatch: undefined, ...more },
  };
}

/** Creates tenants, each with a resource of its own in the operator's scope. */
export async function createTenants(store: PostgresStore, ...names: readonly string[]): Promise<void> {
  await store.write(write('operator', change(...names.map((name) => ({ put: stored('Tenant', name, name) })))));
}

/** True once a session of the database waits for a lock. */
export async function waitsForLock(url: string): Promise<true | undefined> {
  const sql = connect({ url, connectTimeoutMs: 5_000 });
  const [found] = await sql`select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`;
  await sql.end();
  return found ? true : undefined;
}
