/**
 * What the server side of discovery is told about resources. It knows no kind: a family is a list of type URLs, a
 * collection is bytes by type and name. A name of the form `xdstp://<authority>/<type>/<collection>/<rest>` belongs to
 * the collection that it names.
 */
export interface ResourceFamily {
  readonly name: string;
  /** In the order in which a round sends them. */
  readonly types: readonly FamilyType[];
}

export interface FamilyType {
  readonly typeUrl: string;
  /** The type whose acknowledgement makes a round active: the last one. */
  readonly closesRound: boolean;
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
  /** Ids of all collections. */
  ids(): Iterable<string>;
  /** Called with the ids of collections that have a newer revision (or are gone), after `get` serves it. */
  onChange(listener: (ids: readonly string[]) => void): Disposable;
}
