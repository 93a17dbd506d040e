import type { ResourceFault } from './client-handler.ts';
import type { ClientNode } from './node.ts';

/** Told what happens on every stream, so that someone can know exactly who runs what. Calls must not throw. */
export interface StreamObserver {
  /** A subscriber was authenticated. */
  opened(stream: StreamInfo): void;
  /** A request of any sort arrived. */
  heard(stream: StreamInfo): void;
  /** From now on the stream asks for these collections only, of those that it may see. Not told: for all of them. */
  following?(stream: StreamInfo, collections: 'all' | ReadonlySet<string>): void;
  /** The response that closes these revisions has been sent. */
  sent(stream: StreamInfo, collections: readonly CollectionRevision[]): void;
  /** The response that closes these revisions was acknowledged. */
  acked(stream: StreamInfo, collections: readonly CollectionRevision[]): void;
  /** A response was refused. */
  nacked(stream: StreamInfo, refusal: Refusal): void;
  closed(stream: StreamInfo, reason: string): void;
}

export interface StreamInfo {
  /** Unique in this process. */
  readonly id: number;
  readonly identity: StreamIdentity;
  readonly node: ClientNode;
  /** Address and port of the other end. */
  readonly remoteAddress: string;
  /** Name of the family that it is served. */
  readonly family: string;
  /** Ids of the collections that the stream may see. */
  readonly collections: 'all' | ReadonlySet<string>;
  /** Ids under which its revisions are told of, where these are not the collections themselves. */
  readonly sources?: SeenIds;
}

/** Ids that may be seen; what it answers may change with time. */
export type SeenIds = 'all' | SeenSet;

interface SeenSet {
  has(id: string): boolean;
  /** Those that exist now, which are far fewer than all that there are. */
  keys(): Iterable<string>;
}

/** Whose credential the stream was opened with. */
export interface StreamIdentity {
  /** Id of the credential: what is revoked. */
  readonly credentialId: string;
  /** For people. */
  readonly name: string;
  /** Groups of subscribers that the credential belongs to. Absent: none. */
  readonly groups?: readonly string[];
}

/** A state of a collection. */
export interface CollectionRevision {
  readonly id: string;
  /** Undefined: the collection is gone, or the stream no longer sees it. */
  readonly revision: bigint | undefined;
}

export interface Refusal {
  readonly typeUrl: string;
  /** The type closes rounds: what is refused are whole revisions. */
  readonly closesRound: boolean;
  /** The revisions to which the refused response belongs, as far as its names tell. */
  readonly collections: readonly CollectionRevision[];
  /** Never empty; a name may be. */
  readonly faults: readonly ResourceFault[];
  /** Of the refused response. */
  readonly nonce: string;
  /** Version of the type that was refused; empty where every resource has its own. */
  readonly version: string;
}
