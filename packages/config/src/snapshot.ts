import { DigestBuilder } from './digest.ts';
import type { Kind } from './kind.ts';
import { sortSteps } from './sort-steps.ts';
import { drain, stepSize } from './steps.ts';

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
  /** By `<Kind>/<name>`, in the order of these keys. */
  readonly resources: ReadonlyMap<string, StoredResource>;
}

/** What changes a snapshot: a resource created or replaced, or one deleted. */
export type SnapshotChange =
  | { readonly put: StoredResource }
  | { readonly delete: { readonly kind: Kind; readonly name: string } };

/** A snapshot of the given resources. Of two with the same kind and name the later one counts. */
export function makeSnapshot(scope: string, revision: bigint, resources: Iterable<StoredResource>): Snapshot {
  return drain(makeSnapshotSteps(scope, revision, resources));
}

/** {@link makeSnapshot}, pausing. */
export function* makeSnapshotSteps(
  scope: string,
  revision: bigint,
  resources: Iterable<StoredResource>,
): Generator<void, Snapshot> {
  const byKey = new Map<string, StoredResource>();
  for (const resource of resources) {
    byKey.set(resourceKey(resource), resource);
    if (byKey.size % stepSize === 0) yield;
  }
  return yield* snapshotOfSteps(scope, revision, byKey);
}

/** A snapshot of the resources that a map, which may change later, has by `<Kind>/<name>`. */
export function* snapshotOfSteps(
  scope: string,
  revision: bigint,
  byKey: ReadonlyMap<string, StoredResource>,
): Generator<void, Snapshot> {
  return yield* freezeSteps(scope, revision, [...byKey.keys()], (key) => byKey.get(key));
}

/** The snapshot after some changes, in their order. Deleting what is not there changes nothing. */
export function applyChanges(snapshot: Snapshot, revision: bigint, changes: Iterable<SnapshotChange>): Snapshot {
  return drain(applyChangesSteps(snapshot, revision, changes));
}

/** {@link applyChanges}, pausing. */
export function* applyChangesSteps(
  { scope, resources }: Snapshot,
  revision: bigint,
  changes: Iterable<SnapshotChange>,
): Generator<void, Snapshot> {
  const changed = new Map<string, StoredResource | undefined>();
  for (const change of changes) {
    if ('put' in change) changed.set(resourceKey(change.put), change.put);
    else changed.set(resourceKey(change.delete), undefined);
  }
  const keys: string[] = [];
  for (const key of resources.keys()) {
    if (!changed.has(key)) keys.push(key);
    if (keys.length % (4 * stepSize) === 0) yield;
  }
  for (const [key, resource] of changed) if (resource !== undefined) keys.push(key);
  return yield* freezeSteps(scope, revision, keys, (key) => changed.get(key) ?? resources.get(key));
}

/** Hash of a set of resources, as in the Manifest: over the sorted lines `<Kind>/<name> <digest>`. */
export function setHash(resources: Iterable<StoredResource>): string {
  return makeSnapshot('', 0n, resources).hash;
}

/** Key of a resource within its snapshot. */
export function resourceKey(resource: { readonly kind: Kind; readonly name: string }): string {
  return `${resource.kind}/${resource.name}`;
}

/** @param resourceOf the resource of each of the keys. */
function* freezeSteps(
  scope: string,
  revision: bigint,
  keys: readonly string[],
  resourceOf: (key: string) => StoredResource | undefined,
): Generator<void, Snapshot> {
  const resources = new Map<string, StoredResource>();
  const digest = new DigestBuilder();
  let lines = '';
  for (const key of yield* sortSteps(keys, itself)) {
    const resource = resourceOf(key) as StoredResource;
    resources.set(key, resource);
    lines += `${key} ${resource.digest}\n`;
    if (resources.size % (4 * stepSize) !== 0) continue;
    digest.add(lines);
    lines = '';
    yield;
  }
  digest.add(lines);
  return Object.freeze({ scope, revision, hash: digest.finish(), resources });
}

function itself(key: string): string {
  return key;
}
