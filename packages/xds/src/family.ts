import type { StreamInfo } from './stream-observer.ts';

/**
 * What the server side of discovery is told about resources. It knows no kind: a family is a list of type URLs, a
 * collection is bytes by type and name. A name of the form `xdstp://<authority>/<type>/<collection>/<rest>` belongs to
 * the collection that it names.
 */
export interface ResourceFamily {
  readonly name: string;
  /** In the order in which a round sends them: what is referred to before what refers to it. */
  readonly types: readonly FamilyType[];
  /**
   * Types that a stream must have answered once before it counts as running anything. Only for a family in which no type
   * closes rounds: there a round ends when everything that it sent has been answered.
   */
  readonly appliedWith?: readonly string[];
  /** How often resources with a lease are renewed, in milliseconds: well within their time to live. */
  readonly heartbeatMs?: number;
}

export interface FamilyType {
  readonly typeUrl: string;
  /** The type whose acknowledgement makes a round active: the last one. */
  readonly closesRound: boolean;
  /**
   * State-of-the-world responses of this type hold everything that is subscribed, and what is absent is deleted. Other
   * types are answered in part, and nothing of them is ever deleted that way.
   */
  readonly deletesByAbsence?: boolean;
  /** Sent only when everything of the types before it has been answered: what it refers to is then in place. */
  readonly awaitsEarlier?: boolean;
  /** What goes is removed at the end of a round, after what takes its place was sent and answered. */
  readonly removesLate?: boolean;
  /**
   * The type that clients wait for after the first response of this one on a stream: it is sent anew then, whether the
   * client holds it or not.
   */
  readonly followedBy?: string;
}

/** One resource, encoded once and shared by all streams. */
export interface ResourceEntry {
  readonly name: string;
  /** Content hash. */
  readonly version: string;
  /** Revision of the collection in which this content appeared. */
  readonly revision: bigint;
  /** `envoy.service.discovery.v3.Resource` as field 2 of a delta response: tag, length, bytes. */
  readonly encoded: Buffer;
  /** For clients that can forget by themselves what is not renewed. */
  readonly lease?: ResourceLease;
}

/** A resource as clients get it that support times to live. */
export interface ResourceLease {
  /** Like `encoded` of the entry, with the time to live. */
  readonly encoded: Buffer;
  /** The same without the resource's body: it renews the time and is no update. */
  readonly heartbeat: Buffer;
}

/**
 * All resources of one family that change together. Immutable; a newer revision is another object.
 */
export interface Collection {
  /** Unique in its source. */
  readonly id: string;
  readonly revision: bigint;
  get(typeUrl: string, name: string): ResourceEntry | undefined;
  all(typeUrl: string): Iterable<ResourceEntry>;
  /**
   * What a stream that holds an earlier state of this collection lacks, and what it holds too much. It may name more
   * than that. Undefined when this is not remembered so far back: the caller compares the two states instead.
   */
  changedSince(typeUrl: string, earlier: Collection): ResourceDelta | undefined;
  /** What a stream runs that has this state, for a collection made of several sources. Absent: itself at its revision. */
  readonly covers?: ReadonlyMap<string, bigint>;
}

/** The way from one state to another, for one type. No name is in both lists. */
export interface ResourceDelta {
  readonly updated: readonly ResourceEntry[];
  readonly removed: readonly string[];
}

/** Where the server reads collections. Implemented by the publisher. */
export interface CollectionSource {
  /** False until everything committed has been read: streams are refused, never served an empty set. */
  readonly ready: boolean;
  get(id: string): Collection | undefined;
  /**
   * A collection that streams have in different states, for as long as they do: each gets its own in place of what `get`
   * gives. Undefined: all get the same.
   */
  staged?(id: string): StagedCollection | undefined;
  /** Ids of all collections. */
  ids(): Iterable<string>;
  /**
   * Called with the ids of collections that have a newer revision (or are gone), or that streams have in other states
   * than before, after `get` and `staged` serve it.
   */
  onChange(listener: (ids: readonly string[]) => void): Disposable;
}

/** One collection in several states. Immutable: whenever a stream is to get another state, another object says so. */
export interface StagedCollection {
  /** The same for a stream as long as this object lives. Undefined: the collection does not exist for it. */
  stateFor(stream: StreamInfo): Collection | undefined;
}
