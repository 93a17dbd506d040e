import type { Descriptor, DescriptorKind } from '@signalbox/config';

import type { Catalog, CatalogEntry, CatalogState, CatalogVersion } from '../catalog/catalog.ts';
import type { StoreSql } from './connection.ts';

interface CatalogRow {
  readonly tenant: string;
  readonly backend: string;
  readonly due_at: Date;
  readonly state: CatalogState;
  readonly problem: string;
  readonly checked_at: Date | null;
  readonly node: string;
  readonly era: string;
  readonly protocol_version: string;
  readonly version: bigint;
  readonly changed_at: Date | null;
  readonly digest: string;
  readonly tools: number;
  readonly prompts: number;
  readonly resources: number;
  readonly templates: number;
  readonly tool_tokens: number;
}

/** Which rows; only those of the scope that the transaction is in. */
export interface CatalogFilter {
  readonly tenant: string;
  readonly backend?: string;
  /** Backends behind this one. */
  readonly after?: string;
  readonly limit: number;
}

/** By name. */
export async function readCatalogs(sql: StoreSql, filter: CatalogFilter): Promise<readonly Catalog[]> {
  const { tenant, backend = null, after = '', limit } = filter;
  const rows = await sql<CatalogRow[]>`select tenant, backend, due_at, state, problem, checked_at, node, era,
      protocol_version, version, changed_at, digest, tools, prompts, resources, templates, tool_tokens
    from signalbox.catalog
    where tenant = ${tenant} and backend collate "C" > ${after} and (${backend}::text is null or backend = ${backend})
    order by backend collate "C" limit ${limit}`;
  return rows.map(toCatalog);
}

function toCatalog(row: CatalogRow): Catalog {
  const { tenant, backend, state, problem, node, era, version, digest } = row;
  const { tools, prompts, resources, templates } = row;
  return {
    ...{ tenant, backend, state, problem, node, era, version, digest },
    checkedAt: row.checked_at ?? undefined,
    dueAt: row.due_at,
    protocolVersion: row.protocol_version,
    changedAt: row.changed_at ?? undefined,
    counts: { tools, prompts, resources, templates },
    toolTokens: row.tool_tokens,
  };
}

interface EntryRow {
  readonly kind: DescriptorKind;
  readonly name: string;
  readonly since: bigint;
  readonly digest: string;
  readonly body: Uint8Array;
}

/** Which descriptors, of one version. */
export interface EntryFilter {
  readonly tenant: string;
  readonly backend: string;
  readonly version: bigint;
  /** Empty: all. */
  readonly kinds?: readonly string[];
  readonly name?: string;
}

/** By kind and name. */
export async function readEntries(sql: StoreSql, filter: EntryFilter): Promise<readonly CatalogEntry[]> {
  const { tenant, backend, version, kinds = [], name = null } = filter;
  const rows = await sql<EntryRow[]>`select kind, name, since, digest, body from signalbox.catalog_entry
    where tenant = ${tenant} and backend = ${backend} and since <= ${version} and (until is null or until > ${version})
      and (${kinds.length} = 0 or kind in (select jsonb_array_elements_text(${sql.json([...kinds])}::jsonb)))
      and (${name}::text is null or name = ${name})
    order by kind collate "C", name collate "C"`;
  return rows.map(({ kind, name: own, since, digest, body }) => ({ kind, name: own, since, digest, bytes: body }));
}

/** The newest descriptors, without what they say. */
export async function readDigests(
  sql: StoreSql,
  tenant: string,
  backend: string,
): Promise<readonly Pick<Descriptor, 'kind' | 'name' | 'digest'>[]> {
  return sql<Pick<EntryRow, 'kind' | 'name' | 'digest'>[]>`select kind, name, digest from signalbox.catalog_entry
    where tenant = ${tenant} and backend = ${backend} and until is null`;
}

/** Newest first. */
export async function readVersions(
  sql: StoreSql,
  { tenant, backend, limit }: { readonly tenant: string; readonly backend: string; readonly limit: number },
): Promise<readonly CatalogVersion[]> {
  return sql<CatalogVersion[]>`select version, at, digest, node, added, removed, changed, names
    from signalbox.catalog_version where tenant = ${tenant} and backend = ${backend}
    order by version desc limit ${limit}`;
}

/** Bytes of descriptors that one statement carries at most, unless one alone is larger. */
const statementBytes = 1_048_576;

/** Writes descriptors that stand from a version on. */
export async function insertEntries(
  sql: StoreSql,
  { tenant, backend, since }: { readonly tenant: string; readonly backend: string; readonly since: bigint },
  descriptors: readonly Descriptor[],
): Promise<void> {
  for (const part of parts(descriptors)) {
    const rows = part.map(({ kind, name, digest, bytes }) => {
      return { kind, name, digest, body: Buffer.from(bytes).toString('base64') };
    });
    await sql`insert into signalbox.catalog_entry (tenant, backend, kind, name, since, digest, body)
      select ${tenant}, ${backend}, kind, name, ${since}, digest, decode(body, 'base64')
      from jsonb_to_recordset(${sql.json(rows)}::jsonb) as r(kind text, name text, digest text, body text)`;
  }
}

function parts(descriptors: readonly Descriptor[]): readonly (readonly Descriptor[])[] {
  const all: Descriptor[][] = [];
  let bytes = statementBytes;
  for (const descriptor of descriptors) {
    if (bytes + descriptor.bytes.length > statementBytes) {
      all.push([]);
      bytes = 0;
    }
    bytes += descriptor.bytes.length;
    all.at(-1)?.push(descriptor);
  }
  return all;
}
