import { create, toBinary } from '@bufbuild/protobuf';
import {
  digestOf,
  discoveryName,
  type Kind,
  kinds,
  type Snapshot,
  type StoredResource,
  typeUrlOf,
} from '@signalbox/config';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { encodeEntry, type ResourceEntry, type ResourceFamily } from '@signalbox/xds';

/** What our own nodes receive: every kind as it is stored, then the Manifest that makes the revision active. */
export const nativeFamily: ResourceFamily = {
  name: 'native',
  types: [
    ...kinds.map((kind) => ({ typeUrl: typeUrlOf(kind), closesRound: false })),
    { typeUrl: typeUrlOf('Manifest'), closesRound: true },
  ],
};

/** A stored resource on the wire: its bytes as they are, its digest as version. */
export function projectResource(scope: string, resource: StoredResource, revision: bigint): ResourceEntry {
  const { kind, name, digest, body } = resource;
  return encodeEntry(
    { name: nativeName(scope, kind, name), version: digest, typeUrl: typeUrlOf(kind), body },
    revision,
  );
}

/**
 * The Manifest of a snapshot: its revision and the hash of the whole set.
 * @param removalsConfirmed removals up to this revision are meant.
 */
export function projectManifest(snapshot: Snapshot, removalsConfirmed: bigint): ResourceEntry {
  const { scope, revision, hash, resources } = snapshot;
  const manifest = create(ManifestSchema, { scope, revision, hash, resourceCount: resources.size, removalsConfirmed });
  const body = toBinary(ManifestSchema, manifest);
  const name = discoveryName({ kind: 'Manifest', scope, name: 'current' });
  return encodeEntry({ name, version: digestOf(body), typeUrl: typeUrlOf('Manifest'), body }, revision);
}

/** All entries of a snapshot by type URL, as of its revision. */
export function projectSnapshot(
  snapshot: Snapshot,
  removalsConfirmed: bigint,
): ReadonlyMap<string, readonly ResourceEntry[]> {
  const byType = new Map<string, ResourceEntry[]>(nativeFamily.types.map((type) => [type.typeUrl, []]));
  for (const resource of snapshot.resources.values()) {
    byType.get(typeUrlOf(resource.kind))?.push(projectResource(snapshot.scope, resource, snapshot.revision));
  }
  byType.get(typeUrlOf('Manifest'))?.push(projectManifest(snapshot, removalsConfirmed));
  return byType;
}

/** Name of a resource of a scope on the discovery stream. */
export function nativeName(scope: string, kind: Kind, name: string): string {
  return discoveryName({ kind, scope, name });
}
