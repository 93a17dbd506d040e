import { catalogDigest, type Descriptor, operatorScope, toolTokens, type WeighedTool } from '@signalbox/config';
import type { Random } from '@signalbox/runtime';

import {
  type Catalog,
  type CatalogCounts,
  type CatalogEntry,
  type CatalogVersion,
  entryChanges,
  type EntryChange,
  type Finding,
} from '../catalog/catalog.ts';
import {
  type CatalogFilter,
  type EntryFilter,
  insertEntries,
  readCatalogs,
  readDigests,
  readEntries,
  readVersions,
} from './catalog-rows.ts';
import type { StoreSql } from './connection.ts';
import type { Database } from './database.ts';

export interface CatalogStoreOptions {
  readonly database: Database;
  readonly random: Random;
  /** How often a server is looked at, and one that could not be looked at, in milliseconds. */
  readonly intervalMs: number;
  readonly retryMs: number;
  /** How long a node may take to look at one, in milliseconds. */
  readonly leaseMs: number;
  /** Versions that are kept of each backend's catalog. */
  readonly versions: number;
}

/** Leave to look at one server. */
export interface CatalogLease {
  /** A UUID. */
  readonly lease: string;
  readonly tenant: string;
  readonly backend: string;
}

/** Names that a version remembers of what has changed. */
const rememberedNames = 20;

/** What MCP servers have, in the database. Statements about what one has see its tenant alone. */
export class CatalogStore {
  readonly #options: CatalogStoreOptions;

  constructor(options: CatalogStoreOptions) {
    this.#options = options;
  }

  list(scope: string, filter: Omit<CatalogFilter, 'tenant'>): Promise<readonly Catalog[]> {
    return this.#options.database.read(scope, ({ sql }) => readCatalogs(sql, { ...filter, tenant: scope }));
  }

  /** @param version the newest unless given. @returns undefined if the backend has no catalog. */
  get(
    scope: string,
    backend: string,
    filter: Omit<EntryFilter, 'tenant' | 'backend' | 'version'> & { readonly version?: bigint } = {},
  ): Promise<{ readonly catalog: Catalog; readonly entries: readonly CatalogEntry[] } | undefined> {
    return this.#options.database.read(scope, async ({ sql }) => {
      const [catalog] = await readCatalogs(sql, { tenant: scope, backend, limit: 1 });
      if (!catalog) return undefined;
      const version = filter.version ?? catalog.version;
      return { catalog, entries: await readEntries(sql, { ...filter, tenant: scope, backend, version }) };
    });
  }

  versions(scope: string, backend: string, limit: number): Promise<readonly CatalogVersion[]> {
    return this.#options.database.read(scope, ({ sql }) => readVersions(sql, { tenant: scope, backend, limit }));
  }

  /** Tenants with servers that nobody has looked at for long enough. */
  dueTenants(): Promise<readonly string[]> {
    return this.#options.database.read(operatorScope, async ({ sql }) => {
      const rows = await sql<{ tenant: string }[]>`select distinct tenant from signalbox.catalog
        where due_at <= clock_timestamp()`;
      return rows.map(({ tenant }) => tenant);
    });
  }

  /** Such servers of some tenants, the longest due first. */
  due(
    tenants: readonly string[],
    page: { readonly limit: number; readonly offset: number },
  ): Promise<readonly { readonly tenant: string; readonly backend: string }[]> {
    return this.#options.database.read(
      operatorScope,
      ({ sql }) => sql<{ tenant: string; backend: string }[]>`select tenant, backend from signalbox.catalog
        where due_at <= clock_timestamp()
          and tenant in (select jsonb_array_elements_text(${sql.json([...tenants])}::jsonb))
        order by due_at, tenant, backend limit ${page.limit} offset ${page.offset}`,
    );
  }

  /** Gives servers that are due to one who looks at them. @returns what nobody else has claimed meanwhile. */
  claim(backends: readonly { readonly tenant: string; readonly backend: string }[]): Promise<readonly CatalogLease[]> {
    const { random, leaseMs, database } = this.#options;
    const wanted = backends.map(({ tenant, backend }) => ({ tenant, backend, lease: random.uuid() }));
    return database.write(
      operatorScope,
      // Waits for nobody: whoever holds a row has just changed what is asked for.
      ({ sql }) => sql<CatalogLease[]>`with wanted as (
          select * from jsonb_to_recordset(${sql.json(wanted)}::jsonb) as r(tenant text, backend text, lease uuid)),
        free as (
          select c.tenant, c.backend, wanted.lease from signalbox.catalog c
          join wanted on wanted.tenant = c.tenant and wanted.backend = c.backend
          where c.due_at <= clock_timestamp() for update of c skip locked)
        update signalbox.catalog c
        set lease = free.lease, due_at = clock_timestamp() + ${milliseconds(leaseMs)}::interval
        from free where c.tenant = free.tenant and c.backend = free.backend
        returning c.tenant, c.backend, c.lease::text as lease`,
    );
  }

  /** There is no such server any more, or it is none. */
  async forget(tenant: string, backend: string): Promise<void> {
    await this.#options.database.write(
      tenant,
      ({ sql }) => sql`delete from signalbox.catalog where tenant = ${tenant} and backend = ${backend}`,
    );
  }

  /** Lets nodes look at servers now. @param backend absent: all of the tenant. */
  async refresh(tenant: string, backend?: string): Promise<void> {
    const which = backend ?? null;
    await this.#options.database.write(
      tenant,
      ({ sql }) => sql`update signalbox.catalog set due_at = clock_timestamp(), lease = null
        where tenant = ${tenant} and (${which}::text is null or backend = ${which})`,
    );
  }

  /**
   * Keeps what a node has found out. What is as it was is not written again.
   * @returns what has changed; undefined if the lease is not, or no longer, the one who looks.
   */
  record(lease: CatalogLease, finding: Finding): Promise<readonly EntryChange<unknown>[] | undefined> {
    const { tenant, backend } = lease;
    return this.#options.database.write(tenant, async ({ sql }) => {
      const [held] = await sql<{ version: bigint }[]>`select version from signalbox.catalog
        where tenant = ${tenant} and backend = ${backend} and lease = ${lease.lease}::uuid for update`;
      if (!held) return undefined;
      await this.#settle(sql, lease, finding);
      if (finding.state !== 'current') return [];
      const { descriptors } = finding;
      const changes = entryChanges(await readDigests(sql, tenant, backend), descriptors);
      if (changes.length === 0 && held.version > 0n) return [];
      await this.#newVersion(
        sql,
        { tenant, backend, version: held.version + 1n, node: finding.node },
        descriptors,
        changes,
      );
      return changes;
    });
  }

  async #settle(sql: StoreSql, { tenant, backend }: CatalogLease, finding: Finding): Promise<void> {
    const { intervalMs, retryMs, random } = this.#options;
    const { state, node, problem } = finding;
    // Servers that were looked at together are not looked at together again.
    const delayMs =
      (state === 'current' ? intervalMs : Math.min(retryMs, intervalMs)) * (0.9 + 0.2 * random.fraction());
    await sql`update signalbox.catalog set state = ${state}, problem = ${problem}, node = ${node}, lease = null,
        checked_at = clock_timestamp(), due_at = clock_timestamp() + ${milliseconds(delayMs)}::interval
      where tenant = ${tenant} and backend = ${backend}`;
    if (finding.state !== 'current') return;
    await sql`update signalbox.catalog set era = ${finding.era}, protocol_version = ${finding.protocolVersion}
      where tenant = ${tenant} and backend = ${backend}`;
  }

  async #newVersion(
    sql: StoreSql,
    { tenant, backend, version, node }: { tenant: string; backend: string; version: bigint; node: string },
    descriptors: readonly Descriptor[],
    changes: readonly EntryChange<Pick<Descriptor, 'kind' | 'name' | 'digest'>>[],
  ): Promise<void> {
    const gone = changes.filter(({ before }) => before).map(({ kind, name }) => ({ kind, name }));
    await sql`update signalbox.catalog_entry e set until = ${version}
      from jsonb_to_recordset(${sql.json(gone)}::jsonb) as r(kind text, name text)
      where e.tenant = ${tenant} and e.backend = ${backend} and e.until is null and e.kind = r.kind and e.name = r.name`;
    const fresh = new Set(changes.map(({ after }) => after));
    await insertEntries(
      sql,
      { tenant, backend, since: version },
      descriptors.filter((one) => fresh.has(one)),
    );
    const digest = catalogDigest(descriptors);
    const { tools, prompts, resources, templates } = countsOf(descriptors);
    await sql`update signalbox.catalog set version = ${version}, digest = ${digest}, changed_at = clock_timestamp(),
        tools = ${tools}, prompts = ${prompts}, resources = ${resources}, templates = ${templates},
        tool_tokens = ${tokensOf(descriptors)}
      where tenant = ${tenant} and backend = ${backend}`;
    const { added, removed, changed } = tally(changes);
    const names = changes.slice(0, rememberedNames).map(({ kind, name }) => `${kind} ${name}`);
    await sql`insert into signalbox.catalog_version (tenant, backend, version, node, digest, added, removed, changed, names)
      values (${tenant}, ${backend}, ${version}, ${node}, ${digest}, ${added}, ${removed}, ${changed}, ${sql.json(names)})`;
    await this.#prune(sql, { tenant, backend, version });
  }

  async #prune(sql: StoreSql, { tenant, backend, version }: { tenant: string; backend: string; version: bigint }) {
    const oldest = version - BigInt(this.#options.versions) + 1n;
    await sql`delete from signalbox.catalog_version
      where tenant = ${tenant} and backend = ${backend} and version < ${oldest}`;
    await sql`delete from signalbox.catalog_entry
      where tenant = ${tenant} and backend = ${backend} and until is not null and until <= ${oldest}`;
  }
}

/** How many were added, removed and changed. */
export function tally(changes: readonly EntryChange<unknown>[]): {
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
} {
  const added = changes.filter(({ before }) => before === undefined).length;
  const removed = changes.filter(({ after }) => after === undefined).length;
  return { added, removed, changed: changes.length - added - removed };
}

function countsOf(descriptors: readonly Descriptor[]): CatalogCounts {
  const count = (kind: Descriptor['kind']) => descriptors.filter((one) => one.kind === kind).length;
  return {
    ...{ tools: count('tool'), prompts: count('prompt') },
    ...{ resources: count('resource'), templates: count('template') },
  };
}

function tokensOf(descriptors: readonly Descriptor[]): number {
  const tools = descriptors.filter(({ kind }) => kind === 'tool');
  return tools.reduce((sum, { bytes }) => {
    return sum + toolTokens(JSON.parse(Buffer.from(bytes).toString('utf8')) as WeighedTool);
  }, 0);
}

function milliseconds(ms: number): string {
  return `${ms} milliseconds`;
}
