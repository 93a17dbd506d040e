import type { Snapshot } from '@signalbox/config';
import type { ResourceFamily } from '@signalbox/xds';

/**
 * What subscribers that are not our nodes receive: a family of foreign types, and a pure function that says the same as
 * the configuration in these types. It does no I/O and keeps no state but caches by identity of snapshots, which are
 * immutable. Equal views give equal resources.
 */
export interface Projection {
  readonly family: ResourceFamily;
  /** Everything that a subscriber has in a view. Of types that the family does not list nothing is sent. */
  project(view: ConfigurationView): Iterable<ProjectedResource>;
}

/** What the subscribers with one kind of credential may know: never a tenant that is not theirs. */
export interface ConfigurationView {
  /** Gateway that they serve. */
  readonly gateway: string;
  readonly operator: Snapshot;
  /** By name, in the order of names. */
  readonly tenants: ReadonlyMap<string, Snapshot>;
}

/** A resource of a foreign type. Its version is the digest of its body. */
export interface ProjectedResource {
  readonly typeUrl: string;
  /** Unique in its type and view. */
  readonly name: string;
  /** Bytes of the message, the same for equal content: map keys sorted. */
  readonly body: Uint8Array;
  /** How long a subscriber may keep it unrenewed, in milliseconds; only where the family has heartbeats. */
  readonly ttlMs?: number;
}
