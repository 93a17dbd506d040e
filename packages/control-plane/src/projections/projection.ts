import type { JsonObject } from '@bufbuild/protobuf';
import type { Snapshot } from '@signalbox/config';
import type { ClientNode, ResourceFamily } from '@signalbox/xds';

/**
 * What subscribers that are not our nodes receive: a family of foreign types, and a pure function that says the same as
 * the configuration in these types. It does no I/O and keeps no state but caches by identity of snapshots, which are
 * immutable. Equal views give equal resources.
 */
export interface Projection {
  readonly family: ResourceFamily;
  /** Everything that a subscriber has in a view. Of types that the family does not list nothing is sent. */
  project(view: ConfigurationView): Iterable<ProjectedResource>;
  /**
   * What a subscriber gets that is too old for the rest, told by what it says of itself: it can only make it less.
   * Undefined for all others.
   */
  variantOf?(node: Pick<ClientNode, 'userAgentName' | 'userAgentVersion'>): ProjectionVariant | undefined;
  /** One of its resources as an object for people. */
  describe?(resource: Pick<ProjectedResource, 'typeUrl' | 'body'>): JsonObject;
}

/** One of the few forms that a projection has beside its usual one. */
export interface ProjectionVariant {
  readonly id: string;
  /** What its subscribers lack, for people. */
  readonly note: string;
}

/** What the subscribers with one kind of credential may know: never a tenant that is not theirs. */
export interface ConfigurationView {
  /** Gateway that they serve. */
  readonly gateway: string;
  readonly operator: Snapshot;
  /** {@link ProjectionVariant.id}; empty for the usual form. */
  readonly variant: string;
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
