import { DigestBuilder } from './digest.ts';
import type { Kind } from './kind.ts';

/** One resource as it is stored and sent: canonical bytes of its message and their digest. */
export interface StoredResource {
  readonly kind: Kind;
  readonly name: string;
  /** Canonical protobuf bytes of `signalbox.config.v1.<Kind>`. */
  readonly body: Uint8Array;
  /** Content hash of `body`: the version on the discovery stream. See digest.ts. */
  readonly digest: string;
}

/** A consistent set of all resources of one scope at one revision. Immutable. */
export interface Snapshot {
  /** Tenant name, or `operator`. */
  readonly scope: string;
  readonly revision: bigint;
  /** Hash of the whole set, as in the Manifest: equal sets have equal hashes, whatever their revision. */
  readonly hash: string;
  /** By `<Kind>/<name>`. */
  readonly resources: ReadonlyMap<string, StoredResource>;
}

/** What changes a snapshot: a resource created or replaced, or one deleted. */
export type SnapshotChange =
  | { readonly put: StoredResource }
  | { readonly delete: { readonly kind: Kind; readonly name: string } };

/** A snapshot of the given resources. Of two with the same kind and name the later one counts. */
export function makeSnapshot(scope: string, revision: bigint, resources: Iterable<StoredResource>): Snapshot {
  const byKey = new Map<string, StoredResource>();
  for (const resource of resources) byKey.set(resourceKey(resource), resource);
  return freeze(scope, revision, byKey);
}

/** The snapshot after some changes, in their order. Deleting what is not there changes nothing. */
export function applyChanges(snapshot: Snapshot, revision: bigint, changes: Iterable<SnapshotChange>): Snapshot {
  const byKey = new Map(snapshot.resources);
  for (const change of changes) {
    if ('put' in change) byKey.set(resourceKey(change.put), change.put);
    else byKey.delete(resourceKey(change.delete));
  }
  return freeze(snapshot.scope, revision, byKey);
}

/** Hash of a set of resources, as in the Manifest: over the sorted lines `<Kind>/<name> <digest>`. */
export function setHash(resources: Iterable<StoredResource>): string {
  const lines: string[] = [];
  for (const resource of resources) lines.push(`${resourceKey(resource)} ${resource.digest}\n`);
  return hashLines(lines.sort());
}

/** Key of a resource within its snapshot. */
export function resourceKey(resource: { readonly kind: Kind; readonly name: string }): string {
  return `${resource.kind}/${resource.name}`;
}

function freeze(scope: string, revision: bigint, resources: Map<string, StoredResource>): Snapshot {
  return Object.freeze({ scope, revision, hash: setHash(resources.values()), resources });
}

function hashLines(lines: readonly string[]): string {
  const digest = new DigestBuilder();
  for (let at = 0; at < lines.length; at += 512) digest.add(lines.slice(at, at + 512).join(''));
  return digest.finish();
}
