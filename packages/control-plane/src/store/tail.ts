import { operatorScope } from '@signalbox/config';
import type { Clock, Logger, Metrics } from '@signalbox/runtime';

import type { ChangeFeed, ChangeListener, CommittedRevision, StagedScope } from './change-feed.ts';
import { groupRevisions, type LogRow } from './committed-revisions.ts';
import type { StoreSql } from './connection.ts';
import type { Database } from './database.ts';
import type { Doorbell } from './doorbell.ts';
import { kindOf, type ResourceRow, toStored } from './rows.ts';
import { readStagedScopes, stagedDigest, stagedVersion } from './staged-scopes.ts';

export interface TailOptions {
  readonly database: Database;
  readonly doorbell: Pick<Doorbell, 'listen'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** A pass is made at least this often, whatever the doorbell does, in milliseconds. */
  readonly pollMs: number;
  /** Rows of one page. */
  readonly pageRows: number;
  /** Rows that one pass may hold; with more, it reads what has changed in each scope instead. */
  readonly passRows: number;
}

/**
 * Reads the change log, in passes. Transactions commit in another order than they draw numbers, so "newer than the
 * newest I saw" would miss rows. Instead:
 *
 * 1. `low` is a transaction id below which everything was visible when it was taken: the xmin of a snapshot;
 * 2. a pass reads every row at or above `low`, in pages, all in one snapshot, and takes that snapshot's xmin as the
 *    next `low`; a row that stays above it is read again and dropped by its revision;
 * 3. revisions of a scope are applied whole and in order; if one is missing the scope is read anew;
 * 4. one pass at a time; whatever asks for one meanwhile starts another;
 * 5. which scopes have a rollout under way is read with the rows, in the same snapshot: a revision that is for some nodes
 *    only is never taken for one that is for all.
 */
export class Tail implements ChangeFeed {
  readonly #options: TailOptions;
  readonly #known = new Map<string, bigint>();
  readonly #passes;
  readonly #failures;
  readonly #rows;
  #listener: ChangeListener | undefined;
  #low = '0';
  /** Tells states of the rollouts under way apart. */
  #staged = '';
  /** Some scope has a rollout under way. */
  #isStaged = false;
  #wanted = false;
  #running: Promise<void> | undefined;
  #poll: Disposable | undefined;
  #failing = false;
  #readAtMs = 0;

  constructor(options: TailOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#passes = metrics.counter('signalbox_tail_passes_total', 'Passes over the change log.');
    this.#failures = metrics.counter('signalbox_tail_failures_total', 'Passes over the change log that failed.');
    this.#rows = metrics.counter('signalbox_tail_rows_total', 'Rows read from the change log, repeated ones included.');
  }

  async start(listener: ChangeListener): Promise<void> {
    const { database } = this.#options;
    const { low, scopes, staged } = await database.readAll(readEverything);
    this.#low = low;
    this.#know(staged);
    for (const { scope, revision } of scopes.all) this.#known.set(scope, revision);
    listener.loaded(scopes.live, staged.scopes);
    await this.#follow(listener);
  }

  /**
   * As `start`, for a listener that holds everything up to the known revisions: it is told what was committed since. A
   * scope of which the database has an older revision than is known keeps what it has.
   */
  async resume(listener: ChangeListener, known: ReadonlyMap<string, bigint>): Promise<void> {
    const { low, committed, older, staged } = await this.#options.database.readAll((sql) =>
      this.#readSince(sql, known, listener),
    );
    if (older.length > 0) {
      this.#options.logger.error('the database holds older revisions than this replica serves', { scopes: older });
    }
    this.#low = low;
    this.#know(staged);
    for (const [scope, revision] of known) this.#known.set(scope, revision);
    listener.committed(committed, staged.scopes);
    for (const { scope, revision } of committed) this.#known.set(scope, revision);
    await this.#follow(listener);
  }

  /** When the log was last read, in milliseconds of the monotonic clock: how long ago that is does not depend on the time of day. */
  get readAtMs(): number {
    return this.#readAtMs;
  }

  /** The last pass has failed. */
  get failing(): boolean {
    return this.#failing;
  }

  async #follow(listener: ChangeListener): Promise<void> {
    const { doorbell, clock, pollMs } = this.#options;
    this.#readAtMs = clock.monotonic();
    this.#listener = listener;
    try {
      await doorbell.listen(() => this.kick());
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#poll = clock.interval(pollMs, () => this.kick());
  }

  /**
   * This replica has committed a revision that is for all nodes alike. If it is the next of its scope it is told at once,
   * and the log, which will say the same, is not read for it; otherwise it is.
   */
  committed(revision: CommittedRevision): void {
    if (!this.#listener) return;
    const isNext = revision.revision === (this.#known.get(revision.scope) ?? 0n) + 1n;
    if (!isNext || this.#isStaged) return this.kick();
    this.#tell([revision], undefined);
  }

  kick(): void {
    if (!this.#listener) return;
    this.#wanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#listener = undefined;
    this.#poll?.[Symbol.dispose]();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#wanted && this.#listener) {
      this.#wanted = false;
      try {
        await this.#pass();
        if (this.#failing) this.#options.logger.info('change log is read again');
        this.#failing = false;
      } catch (error) {
        this.#failures.add();
        if (!this.#failing) this.#options.logger.warn('change log cannot be read', { error: String(error) });
        this.#failing = true;
      }
    }
  }

  async #pass(): Promise<void> {
    const { low, committed, staged } =
      (await this.#readOnePage()) ?? (await this.#options.database.readAll((sql) => this.#read(sql)));
    this.#passes.add();
    this.#tell(committed, staged);
    this.#low = low;
    this.#readAtMs = this.#options.clock.monotonic();
  }

  /** What was told meanwhile is not told again. */
  #tell(committed: readonly CommittedRevision[], staged: Read['staged']): void {
    const news = committed.filter(({ scope, revision }) => revision > (this.#known.get(scope) ?? 0n));
    if (news.length > 0 || staged) this.#listener?.committed(news, staged?.scopes);
    if (staged) this.#know(staged);
    for (const { scope, revision } of news) this.#known.set(scope, revision);
  }

  #know({ version, scopes }: NonNullable<Read['staged']>): void {
    this.#staged = version;
    this.#isStaged = scopes.length > 0;
  }

  async #readSince(sql: StoreSql, known: ReadonlyMap<string, bigint>, listener: ChangeListener) {
    const [horizon] = await sql<{ low: string }[]>`select pg_snapshot_xmin(pg_current_snapshot())::text as low`;
    const rows = await sql<{ name: string; revision: bigint }[]>`select name, revision from signalbox.tenant`;
    const committed: CommittedRevision[] = [];
    for (const { name, revision } of rows) {
      const since = known.get(name) ?? 0n;
      if (revision > since) committed.push(await readSince(sql, name, since));
    }
    const held = new Map(rows.map(({ name, revision }) => [name, revision]));
    const older = [...known].filter(([scope, revision]) => revision > (held.get(scope) ?? 0n)).map(([scope]) => scope);
    const staged = { version: await stagedVersion(sql), scopes: await readStagedScopes(sql, listener) };
    return { low: horizon?.low ?? '0', committed, older, staged };
  }

  /** What nearly every pass is: one statement. Undefined when that is not all of it. */
  async #readOnePage(): Promise<Read | undefined> {
    const { database, pageRows } = this.#options;
    const page = await database.readAllAtOnce((sql) => readPage(sql, { xid: this.#low, seq: -1n }, pageRows));
    if (page.rows.length >= pageRows || page.staged !== this.#staged) return undefined;
    const { revisions, gaps } = groupRevisions(page.rows, this.#known);
    if (gaps.length > 0) return undefined;
    this.#rows.add(page.rows.length);
    return { low: page.horizon ?? this.#low, committed: revisions, staged: undefined };
  }

  async #read(sql: StoreSql): Promise<Read> {
    const pages = await readPages(sql, this.#low, this.#options);
    this.#rows.add(pages.rows.length);
    const committed = await this.#committedIn(sql, pages);
    return { low: pages.low, committed, staged: await this.#readStaged(sql, pages.staged, committed) };
  }

  async #committedIn(sql: StoreSql, pages: Pages): Promise<readonly CommittedRevision[]> {
    if (!pages.complete) return this.#reread(sql, await scopesBehind(sql, this.#known));
    const { revisions, gaps } = groupRevisions(pages.rows, this.#known);
    if (gaps.length > 0) this.#options.logger.warn('the log lacks a revision: reading scopes anew', { scopes: gaps });
    return [...revisions, ...(await this.#reread(sql, gaps))];
  }

  /** Rollouts that are under way, if they are others than before. */
  async #readStaged(sql: StoreSql, version: string, committed: readonly CommittedRevision[]): Promise<Read['staged']> {
    const listener = this.#listener;
    if (version === this.#staged || !listener) return undefined;
    const holds = (scope: string, revision: bigint) =>
      listener.holds?.(scope, revision) || committed.some((each) => each.scope === scope && each.revision === revision);
    return { version, scopes: await readStagedScopes(sql, { holds }) };
  }

  /** What changed in each scope since the revision known of it, as one step each. */
  async #reread(sql: StoreSql, scopes: readonly string[]): Promise<readonly CommittedRevision[]> {
    const reread: CommittedRevision[] = [];
    for (const scope of scopes) reread.push(await readSince(sql, scope, this.#known.get(scope) ?? 0n));
    return reread;
  }
}

/** What a pass has read. */
interface Read {
  readonly low: string;
  readonly committed: readonly CommittedRevision[];
  /** Rollouts that are under way; undefined: the same as before. */
  readonly staged: { readonly version: string; readonly scopes: readonly StagedScope[] } | undefined;
}

interface Pages {
  readonly low: string;
  /** Of the rollouts under way. */
  readonly staged: string;
  readonly rows: readonly LogRow[];
  /** False if there are more rows than a pass may hold. */
  readonly complete: boolean;
}

/** Everything at or above `low`, and the low-water mark for the next time. */
async function readPages(
  sql: StoreSql,
  low: string,
  { pageRows, passRows }: { readonly pageRows: number; readonly passRows: number },
): Promise<Pages> {
  const rows: LogRow[] = [];
  let nextLow = low;
  let staged = '';
  let from: LogPosition = { xid: low, seq: -1n };
  for (;;) {
    const page = await readPage(sql, from, pageRows);
    nextLow = page.horizon ?? nextLow;
    staged = page.staged;
    rows.push(...page.rows);
    const last = page.rows.at(-1);
    if (!last || page.rows.length < pageRows) return { low: nextLow, staged, rows, complete: true };
    if (rows.length >= passRows) return { low: nextLow, staged, rows, complete: false };
    from = { xid: last.xid, seq: last.seq };
  }
}

/** A place in the log: after this transaction id, and in it after this number. */
interface LogPosition {
  readonly xid: string;
  readonly seq: bigint;
}

interface Page {
  /** xmin of the statement's snapshot. */
  readonly horizon: string | undefined;
  /** Tells states of the rollouts under way apart. */
  readonly staged: string;
  readonly rows: readonly LogRow[];
}

async function readPage(sql: StoreSql, from: LogPosition, limit: number): Promise<Page> {
  const rows = await sql<(LogRow & { horizon: string; staged: string })[]>`
    select h.horizon, h.staged, l.* from (
      select pg_snapshot_xmin(pg_current_snapshot())::text as horizon, ${stagedDigest(sql)} as staged) h
    left join lateral (
      select xid::text as xid, seq, tenant, revision, kind, name, digest, body, at, removals_confirmed
      from signalbox.change_log c
      where (c.xid, c.seq) > (${from.xid}::xid8, ${from.seq}::bigint) order by c.xid, c.seq limit ${limit}) l on true`;
  return { horizon: rows[0]?.horizon, staged: rows[0]?.staged ?? '', rows: rows.filter((row) => row.seq !== null) };
}

interface ScopeRow {
  readonly name: string;
  readonly revision: bigint;
  readonly deleted: boolean;
  readonly at: Date;
  readonly removals_confirmed: bigint;
}

/** All scopes with their resources, and the low-water mark of the same snapshot. */
async function readEverything(sql: StoreSql) {
  const [horizon] = await sql<{ low: string }[]>`select pg_snapshot_xmin(pg_current_snapshot())::text as low`;
  const rows = await sql<ScopeRow[]>`select t.name, t.revision, t.deleted_at is not null as deleted,
      t.removals_confirmed, coalesce(r.at, t.created_at) as at
    from signalbox.tenant t left join signalbox.revision r on r.tenant = t.name and r.revision = t.revision`;
  const resources = Map.groupBy(await allResources(sql), ({ tenant }) => tenant);
  const all = rows.map((row) => ({ scope: row.name, revision: row.revision }));
  const live = rows
    .filter((row) => !row.deleted && (row.revision > 0n || row.name === operatorScope))
    .map((row) => ({
      scope: row.name,
      revision: row.revision,
      committedAtMs: row.at.getTime(),
      removalsConfirmed: row.removals_confirmed,
      resources: (resources.get(row.name) ?? []).map(toStored),
    }));
  const staged = { version: await stagedVersion(sql), scopes: await readStagedScopes(sql, holdsNothing) };
  return { low: horizon?.low ?? '0', scopes: { all, live }, staged };
}

const holdsNothing = { holds: () => false };

/** Scopes with another revision than the known one. */
async function scopesBehind(sql: StoreSql, known: ReadonlyMap<string, bigint>): Promise<readonly string[]> {
  const rows = await sql<{ name: string; revision: bigint }[]>`select name, revision from signalbox.tenant`;
  return rows.filter(({ name, revision }) => revision > (known.get(name) ?? 0n)).map(({ name }) => name);
}

function allResources(sql: StoreSql): Promise<readonly (ResourceRow & { readonly tenant: string })[]> {
  return sql`select tenant, kind, name, digest, body from signalbox.resource where not deleted`;
}

async function readSince(sql: StoreSql, scope: string, known: bigint): Promise<CommittedRevision> {
  const [row] = await sql<Omit<ScopeRow, 'name' | 'deleted'>[]>`select t.revision, t.removals_confirmed,
      coalesce(r.at, t.created_at) as at from signalbox.tenant t left join signalbox.revision r on r.tenant = t.name and r.revision = t.revision
    where t.name = ${scope}`;
  if (!row) throw new Error(`the log names the scope "${scope}", which does not exist`);
  const rows = await sql<(ResourceRow & { deleted: boolean })[]>`select kind, name, digest, body, deleted
    from signalbox.resource where tenant = ${scope} and revision > ${known}`;
  const changes = rows.map((one) => ({
    kind: kindOf(one.kind),
    name: one.name,
    resource: one.deleted ? null : toStored(one),
  }));
  const { revision, at, removals_confirmed: removalsConfirmed } = row;
  return { scope, revision, committedAtMs: at.getTime(), removalsConfirmed, changes };
}
