import { isKind, type Kind, makeSnapshot, type Snapshot, type StoredResource } from '@signalbox/config';

/** A row of `resource` or `change_log` that holds a resource. */
export interface ResourceRow {
  readonly kind: string;
  readonly name: string;
  readonly digest: string;
  readonly body: Buffer;
}

/** @throws Error if the database holds a kind that this version does not know. */
export function kindOf(text: string): Kind {
  if (!isKind(text)) throw new Error(`the database holds the unknown kind "${text}": start a newer Signalbox`);
  return text;
}

export function toStored(row: ResourceRow): StoredResource {
  return { kind: kindOf(row.kind), name: row.name, body: row.body, digest: row.digest };
}

export function toSnapshot(scope: string, revision: bigint, rows: readonly ResourceRow[]): Snapshot {
  return makeSnapshot(scope, revision, rows.map(toStored));
}
