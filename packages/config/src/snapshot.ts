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
