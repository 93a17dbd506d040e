/** What a route does to requests on their way to a backend and to answers on their way back. */
export interface Forwarding {
  /** Null: nothing is changed. */
  readonly requestHeaders: HeaderChanges | null;
  readonly responseHeaders: HeaderChanges | null;
  readonly timeouts: ForwardingTimeouts;
  /** Null: a failed request is not sent again. */
  readonly retry: RetryEntry | null;
}

/** Names are in lower case. Made in this order: set, add, remove. */
export interface HeaderChanges {
  readonly set: readonly HeaderField[];
  readonly add: readonly HeaderField[];
  readonly remove: readonly string[];
}

type HeaderField = readonly [name: string, value: string];

/** Milliseconds; 0 for no limit, null for the data plane's default. */
export interface ForwardingTimeouts {
  /** The whole exchange. */
  readonly requestMs: number | null;
  /** Each try, until the answer begins. */
  readonly backendRequestMs: number | null;
  /** Without a byte in either direction. */
  readonly idleMs: number | null;
}

export interface RetryEntry {
  /** How often at most a request is sent once more. */
  readonly attempts: number;
  /** Status codes that count as failures. */
  readonly codes: readonly number[];
}
