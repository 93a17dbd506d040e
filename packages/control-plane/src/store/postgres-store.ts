import {
  type Change,
  diffSnapshots,
  operatorScope,
  type Problem,
  type RolloutPlan,
  type Snapshot,
} from '@signalbox/config';
import type { Random } from '@signalbox/runtime';

import type { CommittedChange, CommittedRevision } from './change-feed.ts';
import { insertRevision, writtenRevision } from './commit.ts';
import type { Database, ScopedTransaction } from './database.ts';
import { isConnectionLoss, isDeadlock, isDuplicate } from './database-error.ts';
import type { OpeningRows } from './connection.ts';
import { listResources, listRevisions, readChanges, readRevision, readTenants } from './history.ts';
import { readRollouts } from './rollout-rows.ts';
import { SnapshotCache } from './snapshot-cache.ts';
import {
  isVersionOf,
  lockForRequest,
  readScope,
  readSnapshot,
  readSnapshotAt,
  readTenantSnapshots,
  type ScopeRow,
  versionOf,
} from './snapshots.ts';
import { endRolloutOf, followRevision } from './staged-revision.ts';
import type { ConfigStore, ResourceFilter, WriteInputs, WriteOutcome, WriteRequest } from './store.ts';
import { changeTenants, stillOccupied, tenantChanges } from './tenant-lifecycle.ts';
import { findRequest, forgetRequests, recordRequest, type RecordedRequest } from './write-requests.ts';

export interface PostgresStoreOptions {
  readonly database: Database;
  readonly random: Random;
  /** How long request ids are remembered, in hours. */
  readonly requestIdHours: number;
  /** Resources of the snapshots that are kept in memory. */
  readonly cachedResources: number;
  /** Removals that add up to so many resources are noted as meant; see {@link RemovalNote}. */
  readonly removalMinimum: number;
  /**
   * What is served of a scope: a replica that has not written it last, or has just started, need not read it again.
   */
  readonly served: (scope: string) => ServedScope | undefined;
  /**
   * Called after every commit that wrote a revision.
   * @param committed the revision, if that is all that the readers of the log would find.
   */
  readonly onCommit: (committed: CommittedRevision | undefined) => void;
}

/** A scope at a revision. */
interface ServedScope {
  readonly snapshot: Snapshot;
  readonly committedAtMs: number;
}

/** Names the lock that tenants' writers share and the operator's writer has alone. */
const operatorLock = 7_316_180_211_035n;
const maxAttempts = 4;
/** Old requests of a scope are forgotten with every so many of its revisions. */
const forgetEvery = 32n;

/**
 * The store in Postgres. A write of a scope goes, in one transaction:
 *
 * 1. with its begin, the operator's lock, shared by tenants and exclusive for the operator, because what the operator has
 *    configured is an input of every tenant's compile; behind it the row of the scope, which makes revision order commit
 *    order;
 * 2. a known request id returns what the first request did; then If-Match;
 * 3. the plan builds the whole candidate and judges it as a node would;
 * 4. an empty diff writes nothing but the request id;
 * 5. request id, log, resources, revision, number of the scope, in one statement: what it says about its time is as near
 *    to the commit as can be; 6. behind it the commit.
 *
 * So a write that finds what it needs in memory waits for the database twice: with the row locked, only for the commit.
 *
 * The doorbell rings after the commit and never in the transaction: NOTIFY takes a lock of the whole cluster.
 */
export class PostgresStore implements ConfigStore {
  readonly #options: PostgresStoreOptions;
  readonly #database: Database;
  readonly #snapshots: SnapshotCache;

  constructor(options: PostgresStoreOptions) {
    this.#options = options;
    this.#database = options.database;
    this.#snapshots = new SnapshotCache(options.cachedResources);
  }

  async write(request: WriteRequest): Promise<WriteOutcome> {
    const identified = { ...request, requestId: request.requestId ?? this.#options.random.uuid() };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const written = await this.#database.writeAfter(openingOf(request.scope), request.scope, (tx, opening) =>
          this.#writeOnce(tx, identified, opening),
        );
        if (written.revision) this.#committed(written.revision);
        return written.outcome;
      } catch (error) {
        // Whether a commit took effect may be unknown; the request id makes it safe to try again. One that was recorded
        // while this transaction waited for its scope is found by the next attempt.
        const again = isConnectionLoss(error) || isDeadlock(error) || isDuplicate(error);
        if (!again || attempt >= maxAttempts) throw error;
      }
    }
  }

  read<T>(scope: string, look: (inputs: WriteInputs) => Promise<T>): Promise<T | undefined> {
    return this.#database.read(scope, async (tx) => {
      const row = await readScope(tx, scope);
      return row && look(await this.#inputs(tx, scope, row));
    });
  }

  list(scope: string, filter: ResourceFilter = {}) {
    return this.#database.read(scope, (tx) => listResources(tx, scope, filter));
  }

  revisions(scope: string, page: { limit: number; before: bigint | undefined }) {
    return this.#database.read(scope, (tx) => listRevisions(tx, scope, page));
  }

  revision(scope: string, revision: bigint) {
    return this.#database.read(scope, (tx) => readRevision(tx, scope, revision));
  }

  async tenant(name: string) {
    const [tenant] = await this.tenants([name]);
    return tenant;
  }

  tenants(names?: readonly string[]) {
    return this.#database.read(operatorScope, (tx) => readTenants(tx, names));
  }

  async ping(): Promise<void> {
    await this.#database.read(operatorScope, (tx) => readScope(tx, operatorScope));
  }

  /** The other readers are told as soon as the transaction is over, and this one knows the new state. */
  #committed({ snapshot, version, committed }: StoredRevision): void {
    this.#snapshots.put(version, snapshot);
    this.#options.onCommit(committed);
  }

  async #writeOnce(tx: ScopedTransaction, request: IdentifiedRequest, opening: Promise<OpeningRows>): Promise<Written> {
    const { scope, ifMatch, requestId } = request;
    const [opened, locked] = await Promise.all([opening, lockForRequest(tx, scope, requestId)]);
    const operator = operatorIn(opened);
    if (!locked) return { outcome: { outcome: 'no-such-scope' } };
    const { row, isOverdue } = locked;
    const earlier = locked.earlier ?? (isOverdue ? await findRequest(tx, scope, requestId) : undefined);
    if (earlier) return { outcome: await repeat(tx, request, earlier) };
    if (ifMatch !== undefined && ifMatch !== row.revision) {
      return { outcome: { outcome: 'revision-mismatch', newest: row.revision } };
    }
    const inputs = await this.#inputs(tx, scope, row, operator);
    const plan = await request.plan(inputs);
    if (plan.outcome === 'refuse') return { outcome: { outcome: 'refused', problems: plan.problems } };
    if (plan.outcome === 'no-such-revision') return { outcome: plan };
    await tx.enter(scope);
    return this.#commit(tx, request, { ...row, current: inputs.current, ...plan });
  }

  async #commit(tx: ScopedTransaction, request: IdentifiedRequest, planned: Planned): Promise<Written> {
    const { scope, author, message, cause, fingerprint, requestId: id } = request;
    const { current, mayRollOut, candidate, warnings } = planned;
    const { requestIdHours: keepHours } = this.#options;
    const parent = current.revision;
    const changes = diffSnapshots(current, candidate);
    if (changes.length === 0) {
      await recordRequest(tx, { scope, id, fingerprint, revision: parent, committed: false });
      await forgetRequests(tx, scope, keepHours);
      if (request.endsRollout) await endRolloutOf(tx, scope, request.endsRollout);
      return {
        outcome: { outcome: 'unchanged', revision: parent, committed: false, staged: false, changes, warnings },
      };
    }
    if (scope === operatorScope) {
      const problems = await followTenants(tx, changes, request);
      if (problems.length > 0) return { outcome: { outcome: 'refused', problems } };
    }
    const revision = parent + 1n;
    if (revision % forgetEvery === 0n) await forgetRequests(tx, scope, keepHours);
    const { returnsTo } = request;
    const followed = { scope, revision, cause, author, message, returnsTo, current, mayRollOut, plan: planned.rollout };
    const staged = await followRevision(tx, followed, request.endsRollout);
    const removals = { confirmed: request.confirmRemoval ?? false, minimum: this.#options.removalMinimum };
    const inserted = insertRevision(tx.sql, {
      ...{ scope, revision, parent, cause, author, message, changes, removals, request: { id, fingerprint } },
    });
    const { version, ...known } = writtenRevision(revision, await tx.commitWith(inserted));
    const outcome = { outcome: 'committed', revision, committed: true, staged, changes, warnings } as const;
    // The operator's revisions may end scopes, and what is rolled out is told together with how.
    const isWhole = scope !== operatorScope && !staged && !mayRollOut;
    const committed = isWhole ? { scope, revision, ...known, changes: changes.map(committedChange) } : undefined;
    return { outcome, revision: { snapshot: candidate, version, committed } };
  }

  async #inputs(tx: ScopedTransaction, scope: string, row: ScopeRow, operator?: OperatorRow): Promise<WriteInputs> {
    const current = await this.#newest(tx, scope, row);
    return {
      current,
      operator: scope === operatorScope ? current : await this.#operator(tx, operator),
      at: (revision) => readSnapshotAt(tx, scope, revision),
      tenants: () => readTenantSnapshots(tx),
    };
  }

  /** The operator's lock is held, or the transaction reads one snapshot: the revision cannot move in between. */
  async #operator(tx: ScopedTransaction, known?: OperatorRow): Promise<Snapshot> {
    const row = known ?? (await readScope(tx, operatorScope));
    if (!row) throw new Error('the database has no operator scope: its migrations were not completed');
    return this.#newest(tx, operatorScope, row);
  }

  async #newest(tx: ScopedTransaction, scope: string, row: OperatorRow): Promise<Snapshot> {
    const known = this.#snapshots.get(scope, row.version) ?? this.#servedAs(scope, row.version);
    if (known) return known;
    const snapshot = await readSnapshot(tx, scope, row.revision);
    this.#snapshots.put(row.version, snapshot);
    return snapshot;
  }

  #servedAs(scope: string, version: string | undefined): Snapshot | undefined {
    const served = this.#options.served(scope);
    if (!served || version === undefined) return undefined;
    return isVersionOf(version, served.snapshot.revision, served.committedAtMs) ? served.snapshot : undefined;
  }
}

type IdentifiedRequest = WriteRequest & { readonly requestId: string };

interface Planned {
  readonly rollout?: RolloutPlan | undefined;
  readonly current: Snapshot;
  readonly mayRollOut: boolean;
  readonly candidate: Snapshot;
  readonly warnings: readonly Problem[];
}

/** What a transaction leads to, once it is committed. */
interface Written {
  readonly outcome: WriteOutcome;
  readonly revision?: StoredRevision;
}

/** What it has written. */
interface StoredRevision {
  readonly snapshot: Snapshot;
  readonly version: string;
  readonly committed: CommittedRevision | undefined;
}

function committedChange(change: Change): CommittedChange {
  const { kind, name } = change;
  return { kind, name, resource: change.op === 'delete' ? null : change.after };
}

/** Lets the list of tenants follow the operator's Tenant resources. @returns why that cannot be. */
async function followTenants(
  tx: ScopedTransaction,
  changes: readonly Change[],
  { author, emptyRemovedTenants = false }: WriteRequest,
): Promise<readonly Problem[]> {
  const tenants = tenantChanges(changes);
  const problems = emptyRemovedTenants ? [] : await stillOccupied(tx, tenants.removed);
  if (problems.length === 0) await changeTenants(tx, tenants, author);
  return problems;
}

/** The operator's newest revision, as far as it is an input of other scopes. */
type OperatorRow = Pick<ScopeRow, 'revision' | 'version'>;

/** An advisory lock: unlike a row's, it is fair to the operator among many tenants and writes nothing. */
function openingOf(scope: string): readonly string[] {
  if (scope === operatorScope) return [`select pg_advisory_xact_lock(${operatorLock})`];
  return [
    `select pg_advisory_xact_lock_shared(${operatorLock})`,
    `select revision::text, extract(epoch from revised_at)::text as at from signalbox.tenant where name = 'operator'`,
  ];
}

/** What those statements read; undefined in the operator's own scope. */
function operatorIn([, rows = []]: OpeningRows): OperatorRow | undefined {
  const row = rows[0] as { revision: string; at: string | null } | undefined;
  if (!row) return undefined;
  const revision = BigInt(row.revision);
  return { revision, version: row.at === null ? undefined : versionOf(revision, row.at) };
}

async function repeat(tx: ScopedTransaction, request: WriteRequest, earlier: RecordedRequest): Promise<WriteOutcome> {
  if (earlier.fingerprint !== request.fingerprint) return { outcome: 'request-id-reused' };
  const { revision, committed } = earlier;
  const { scope } = request;
  const changes = committed ? await readChanges(tx, scope, revision) : [];
  const rollouts = committed ? await readRollouts(tx.sql, { tenant: scope, revision }) : [];
  return { outcome: 'repeated', revision, committed, staged: rollouts.length > 0, changes, warnings: [] };
}
