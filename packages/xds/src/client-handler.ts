/** What the node's end of discovery calls. One call at a time per stream. */
export interface ClientHandler {
  /** Versions held by name, sent as `initial_resource_versions` when a stream opens. */
  heldVersions(typeUrl: string): ReadonlyMap<string, string>;
  /** What to subscribe to, of a type, when a stream opens: names and globs; none for nothing yet. Absent: everything. */
  subscriptions?(typeUrl: string): readonly string[];
  /** Takes a response. No faults: it is acknowledged. Faults: it is refused with them, by resource. */
  onResponse(update: ResourceUpdate): Promise<readonly ResourceFault[]>;
  /** The stream's state changed; `detail` says why it ended. */
  onConnection(state: 'connecting' | 'connected' | 'disconnected', detail: string): void;
}

/** What a client wants to have from now on, or no longer, of one type. */
export interface SubscriptionChange {
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
}

export interface ResourceUpdate {
  readonly typeUrl: string;
  readonly resources: readonly ReceivedResource[];
  /** Names that no longer exist. */
  readonly removed: readonly string[];
}

export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  /** Type URL of the inner message; equal to the response's. */
  readonly typeUrl: string;
  /** Bytes of the inner message. */
  readonly body: Uint8Array;
}

/** Why one resource is refused. Sent as JSON `[{"name","error"}]` in `error_detail.message`. */
export interface ResourceFault {
  readonly name: string;
  readonly error: string;
}
