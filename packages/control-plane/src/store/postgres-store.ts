import { diffSnapshots, operatorScope, type Problem, type Snapshot } from '@signalbox/config';
import type { Random } from '@signalbox/runtime';

import { insertRevision } from './commit.ts';
import type { Database, ScopedTransaction } from './database.ts';
import { isConnectionLoss, isDeadlock } from './database-error.ts';
import { listResources, listRevisions, readChanges, readRevision, readTenants } from './history.ts';
import { lockScope, readScope, readSnapshot, readSnapshotAt, readTenantSnapshots, type ScopeRow } from './snapshots.ts';
import type { ConfigStore, ResourceFilter, WriteInputs, WriteOutcome, WriteRequest } from './store.ts';
import { changeTenants, stillOccupied, tenantChanges } from './tenant-lifecycle.ts';
import { findRequest, recordRequest, type RecordedRequest } from './write-requests.ts';

export interface PostgresStoreOptions {
  readonly database: Database;
  readonly random: Random;
  /** How long request ids are remembered, in hours. */
  readonly requestIdHours: number;
  /** Called after every commit that wrote a revision. */
  readonly onCommit: () => void;
}

/** Names the lock that tenants' writers share and the operator's writer has alone. */
const operatorLock = 7_316_180_211_035n;
const maxAttempts = 4;

/**
 * The store in Postgres. A write of a scope goes, in one transaction:
 *
 * 1. the operator's lock, shared by tenants and exclusive for the operator, because what the operator has configured
 *    is an input of every tenant's compile; then the row of the scope, which makes revision order commit order;
 * 2. a known request id returns what the first request did; then If-Match;
 * 3. the plan builds the whole candidate and judges it as a node would;
 * 4. an empty diff writes nothing;
 * 5. log, resources, revision, number of the scope; 6. commit.
 *
 * The doorbell rings after the commit and never in the transaction: NOTIFY takes a lock of the whole cluster.
 */
export class PostgresStore implements ConfigStore {
  readonly #options: PostgresStoreOptions;
  readonly #database: Database;
  /** The operator's newest snapshot, true while the operator's revision is the same. */
  #operator: Snapshot | undefined;

  constructor(options: PostgresStoreOptions) {
    this.#options = options;
    this.#database = options.database;
  }

  async write(request: WriteRequest): Promise<WriteOutcome> {
    const identified = { ...request, requestId: request.requestId ?? this.#options.random.uuid() };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const outcome = await this.#database.write(request.scope, (tx) => this.#writeOnce(tx, identified));
        if ('committed' in outcome && outcome.committed) this.#options.onCommit();
        return outcome;
      } catch (error) {
        // Whether a commit took effect may be unknown; the request id makes it safe to try again.
        const again = isConnectionLoss(error) || isDeadlock(error);
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
    const [tenant] = await this.#database.read(operatorScope, (tx) => readTenants(tx, name));
    return tenant;
  }

  tenants() {
    return this.#database.read(operatorScope, (tx) => readTenants(tx));
  }

  async ping(): Promise<void> {
    await this.#database.read(operatorScope, (tx) => readScope(tx, operatorScope));
  }

  async #writeOnce(tx: ScopedTransaction, request: WriteRequest & { requestId: string }): Promise<WriteOutcome> {
    const { scope, ifMatch } = request;
    await lockOperator(tx, scope === operatorScope ? 'exclusive' : 'shared');
    const row = await lockScope(tx, scope);
    if (!row) return { outcome: 'no-such-scope' };
    const earlier = await findRequest(tx, scope, request.requestId);
    if (earlier) return repeat(tx, request, earlier);
    if (ifMatch !== undefined && ifMatch !== row.revision) {
      return { outcome: 'revision-mismatch', newest: row.revision };
    }
    const inputs = await this.#inputs(tx, scope, row);
    const plan = await request.plan(inputs);
    if (plan.outcome === 'refuse') return { outcome: 'refused', problems: plan.problems };
    if (plan.outcome === 'no-such-revision') return { outcome: 'no-such-revision' };
    return this.#commit(tx, request, { current: inputs.current, ...plan });
  }

  async #commit(
    tx: ScopedTransaction,
    request: WriteRequest & { requestId: string },
    { current, candidate, warnings }: { current: Snapshot; candidate: Snapshot; warnings: readonly Problem[] },
  ): Promise<WriteOutcome> {
    const { scope, author, message, cause, fingerprint, requestId: id } = request;
    const keepHours = this.#options.requestIdHours;
    const parent = current.revision;
    const changes = diffSnapshots(current, candidate);
    await tx.enter(scope);
    if (changes.length === 0) {
      await recordRequest(tx, { scope, id, fingerprint, revision: parent, committed: false, keepHours });
      return { outcome: 'unchanged', revision: parent, committed: false, changes, warnings };
    }
    if (scope === operatorScope) {
      const tenants = tenantChanges(changes);
      const problems = request.emptyRemovedTenants ? [] : await stillOccupied(tx, tenants.removed);
      if (problems.length > 0) return { outcome: 'refused', problems };
      await changeTenants(tx, tenants, author);
    }
    const revision = parent + 1n;
    await insertRevision(tx, { scope, revision, parent, cause, author, message, changes });
    await recordRequest(tx, { scope, id, fingerprint, revision, committed: true, keepHours });
    return { outcome: 'committed', revision, committed: true, changes, warnings };
  }

  async #inputs(tx: ScopedTransaction, scope: string, row: ScopeRow): Promise<WriteInputs> {
    const operator = await this.#operatorSnapshot(tx, scope === operatorScope ? row : undefined);
    const current = scope === operatorScope ? operator : await readSnapshot(tx, scope, row.revision);
    return {
      current,
      operator,
      at: (revision) => readSnapshotAt(tx, scope, revision),
      tenants: () => readTenantSnapshots(tx),
    };
  }

  /** The operator's lock is held, or the transaction reads one snapshot: the revision cannot move in between. */
  async #operatorSnapshot(tx: ScopedTransaction, known: ScopeRow | undefined): Promise<Snapshot> {
    const row = known ?? (await readScope(tx, operatorScope));
    if (!row) throw new Error('the database has no operator scope: its migrations were not completed');
    if (this.#operator?.revision !== row.revision) {
      this.#operator = await readSnapshot(tx, operatorScope, row.revision);
    }
    return this.#operator;
  }
}

/** An advisory lock: unlike a row's, it is fair to the operator among many tenants and writes nothing. */
async function lockOperator({ sql }: ScopedTransaction, mode: 'shared' | 'exclusive'): Promise<void> {
  if (mode === 'shared') await sql`select pg_advisory_xact_lock_shared(${operatorLock})`;
  else await sql`select pg_advisory_xact_lock(${operatorLock})`;
}

async function repeat(tx: ScopedTransaction, request: WriteRequest, earlier: RecordedRequest): Promise<WriteOutcome> {
  if (earlier.fingerprint !== request.fingerprint) return { outcome: 'request-id-reused' };
  const { revision, committed } = earlier;
  const changes = committed ? await readChanges(tx, request.scope, revision) : [];
  return { outcome: 'repeated', revision, committed, changes, warnings: [] };
}
