import { operatorScope } from '@signalbox/config';

import type { StoreSql } from './connection.ts';
import type { Database } from './database.ts';
import type {
  FleetReading,
  FleetStore,
  ReadReplica,
  ReplicaReport,
  ReportedNode,
  ReportedRevision,
  ReportReceipt,
} from './fleet-store.ts';

/**
 * The replicas' reports in Postgres. Each replica writes rows of its own only, so no two wait for each other, and one
 * that is cut off harms nobody: its lease runs out.
 */
export class PostgresFleetStore implements FleetStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  report(report: ReplicaReport): Promise<ReportReceipt> {
    return this.#database.write(operatorScope, async ({ sql }) => {
      const receipt = await renewLease(sql, report);
      await removeRows(sql, report);
      await writeNodes(sql, report);
      await writeScopes(sql, report);
      return receipt;
    });
  }

  read(known: ReadonlyMap<string, bigint>, scopes: readonly string[]): Promise<FleetReading> {
    return this.#database.read(operatorScope, async ({ sql }) => {
      const replicas = await sql<ReplicaRow[]>`select id::text, name, coalesce(report, 0) as report,
          coalesce(removed_by, 0) as "removedBy", is_partial as "isPartial",
          coalesce(is_complete, false) as "isComplete", ${milliseconds(sql, 'started_at')} as "startedAtMs",
          ${milliseconds(sql, effectiveLease)} as "leaseUntilMs", ${milliseconds(sql, 'clock_timestamp()')} as "nowMs",
          ${milliseconds(sql, 'now()')} as "asOfMs"
        from signalbox.replica left join signalbox.replica_report on replica = id order by started_at, id`;
      const read: ReadReplica[] = [];
      for (const row of replicas) read.push(await readReplica(sql, row, known.get(row.id) ?? 0n));
      const history = scopes.length === 0 ? [] : await readHistory(sql, scopes);
      return { nowMs: replicas[0]?.nowMs ?? 0, asOfMs: replicas[0]?.asOfMs ?? 0, replicas: read, history };
    });
  }

  async leave(replica: string): Promise<void> {
    await this.#database.write(
      operatorScope,
      ({ sql }) => sql`update signalbox.replica set lease_until = clock_timestamp(), has_left = true
        where id = ${replica}::uuid`,
    );
  }

  async sweep(retentionMs: number): Promise<void> {
    await this.#database.write(operatorScope, async ({ sql }) => {
      const gone = await sql<{ id: string }[]>`delete from signalbox.replica
        where lease_until < clock_timestamp() - ${`${retentionMs} milliseconds`}::interval returning id::text`;
      for (const { id } of gone) {
        await sql`delete from signalbox.replica_report where replica = ${id}::uuid`;
        await sql`delete from signalbox.node_status where replica = ${id}::uuid`;
        await sql`delete from signalbox.propagation where replica = ${id}::uuid`;
      }
    });
  }
}

interface ReplicaRow {
  readonly id: string;
  readonly name: string;
  readonly report: bigint;
  readonly removedBy: bigint;
  readonly isPartial: boolean;
  readonly isComplete: boolean;
  readonly startedAtMs: number;
  readonly leaseUntilMs: number;
  readonly nowMs: number;
  readonly asOfMs: number;
}

/** While the database was away nobody could renew anything. */
const effectiveLease =
  'case when has_left then lease_until else greatest(lease_until, pg_postmaster_start_time() + lease) end';

/** A time as a number of milliseconds since the epoch. */
function milliseconds(sql: StoreSql, time: string) {
  return sql.unsafe(`(extract(epoch from ${time}) * 1000)::float8`);
}

async function renewLease(sql: StoreSql, report: ReplicaReport): Promise<ReportReceipt> {
  const { replica, name, number, leaseMs, isPartial, isWhole, isCut, forgottenNodes, forgottenScopes } = report;
  const removes = isWhole || forgottenNodes.length > 0 || forgottenScopes.length > 0;
  const lease = `${leaseMs} milliseconds`;
  // Nothing here has to be on disk before it is answered.
  await sql`insert into signalbox.replica (id, name, is_partial, lease, lease_until)
    values (${replica}::uuid, ${name}, ${isPartial}, ${lease}::interval, clock_timestamp() + ${lease}::interval)
    on conflict (id) do update set lease_until = excluded.lease_until, has_left = false
    returning set_config('synchronous_commit', 'off', true)`;
  const [row] = await sql<{ isNew: boolean; nowMs: number }[]>`
    insert into signalbox.replica_report as known (replica, report, removed_by, is_complete)
    values (${replica}::uuid, ${number}, ${removes ? number : 0n}, ${!isCut})
    on conflict (replica) do update set report = excluded.report,
      is_complete = excluded.is_complete or (known.is_complete and not ${isWhole}),
      removed_by = greatest(known.removed_by, excluded.removed_by)
    returning xmax = 0 as "isNew", ${milliseconds(sql, 'clock_timestamp()')} as "nowMs"`;
  if (!row) throw new Error('the database took a report without a receipt');
  return { isForgotten: row.isNew && !isWhole, nowMs: row.nowMs };
}

async function removeRows(sql: StoreSql, { replica, isWhole, ...report }: ReplicaReport): Promise<void> {
  const { forgottenNodes, forgottenScopes } = report;
  if (isWhole) {
    await sql`delete from signalbox.node_status where replica = ${replica}::uuid`;
    await sql`delete from signalbox.propagation where replica = ${replica}::uuid`;
    return;
  }
  if (forgottenNodes.length > 0) {
    await sql`delete from signalbox.node_status where replica = ${replica}::uuid
      and key in (select jsonb_array_elements_text(${sql.json(forgottenNodes)}::jsonb))`;
  }
  if (forgottenScopes.length > 0) {
    await sql`delete from signalbox.propagation where replica = ${replica}::uuid
      and scope in (select jsonb_array_elements_text(${sql.json(forgottenScopes)}::jsonb))`;
  }
}

async function writeNodes(sql: StoreSql, { replica, number, nodes }: ReplicaReport): Promise<void> {
  if (nodes.length === 0) return;
  const rows = nodes.map(({ key, ...status }) => ({ key, status }));
  await sql`insert into signalbox.node_status (replica, key, report, status)
    select ${replica}::uuid, key, ${number}, status
    from jsonb_to_recordset(${sql.json(rows as unknown as JsonRows)}::jsonb) as r(key text, status jsonb)
    on conflict (replica, key) do update set report = excluded.report, status = excluded.status`;
}

async function writeScopes(sql: StoreSql, { replica, number, scopes }: ReplicaReport): Promise<void> {
  if (scopes.length === 0) return;
  const rows = scopes.map(({ scope, revision, history }) => ({ scope, revision: revision.toString(), history }));
  await sql`insert into signalbox.propagation (replica, scope, revision, history, report)
    select ${replica}::uuid, scope, revision, history, ${number}
    from jsonb_to_recordset(${sql.json(rows as unknown as JsonRows)}::jsonb) as r(scope text, revision bigint, history jsonb)
    on conflict (replica, scope) do update set revision = excluded.revision, history = excluded.history,
      report = excluded.report`;
}

/** What the driver writes as JSON; its own type knows no optional fields. */
type JsonRows = Parameters<StoreSql['json']>[0];

async function readReplica(sql: StoreSql, row: ReplicaRow, known: bigint): Promise<ReadReplica> {
  const { id, name, report, startedAtMs, leaseUntilMs, isPartial, isComplete } = row;
  const isWhole = report === 0n || known === 0n || known < row.removedBy;
  const since = isWhole ? 0n : known;
  const about = { id, name, startedAtMs, leaseUntilMs, report, isPartial, isComplete, isWhole };
  if (report === known && !isWhole) return { ...about, nodes: [], scopes: [] };
  const nodes = await sql<{ key: string; status: Omit<ReportedNode, 'key'> }[]>`select key, status
    from signalbox.node_status where replica = ${id}::uuid and report > ${since}`;
  const scopes = await sql<{ scope: string; revision: bigint }[]>`select scope, revision
    from signalbox.propagation where replica = ${id}::uuid and report > ${since}`;
  return {
    ...about,
    nodes: nodes.map(({ key, status }) => ({ key, ...status })),
    scopes: scopes.map(({ scope, revision }) => ({ scope, revision })),
  };
}

function readHistory(sql: StoreSql, scopes: readonly string[]) {
  return sql<{ replica: string; scope: string; revisions: readonly ReportedRevision[] }[]>`
    select replica::text, scope, history as revisions from signalbox.propagation
    where scope in (select jsonb_array_elements_text(${sql.json(scopes)}::jsonb))`;
}
