import type { ConnectionEntry, HeaderChanges, HttpVersion, UpstreamTlsEntry } from '@signalbox/config';

/** The way to upstream servers: bounded connection pools, no redirects. */
export interface Upstream {
  /**
   * Sends a request. Exactly one of `onEnd` and `onError` follows, after which nothing more is called.
   * A connection that the peer had already closed is replaced once, before any byte of an answer, for requests that
   * `safeToResend` marks; so is one whose peer says that it has done nothing with the request, whatever the request is.
   */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange;
  /** Closes idle connections to endpoints that are not in the set. */
  retain(origins: ReadonlySet<string>): void;
  close(): void;
}

export interface UpstreamRequest {
  /** Scheme, host and port of the endpoint: `http://127.0.0.1:3001`. */
  readonly origin: string;
  /** Connections are shared only within this key: tenant and backend. */
  readonly poolKey: string;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Name, value, name, value …; Host, Content-Length and Connection are added here. */
  readonly headers: readonly string[];
  readonly body: Buffer | undefined;
  /** A body that follows by `write` and `endBody`, in place of `body`: its length, or `chunked` if nobody knows it. */
  readonly streamed?: number | 'chunked';
  /** What is special about the endpoint. Equal for equal pool keys, but for its header changes. */
  readonly peer?: UpstreamPeer;
  /** The streamed body may have trailers. */
  readonly trailers?: boolean;
  /** Bytes of the answer's body. Beyond: `too-large`. Undefined: as many as come. */
  readonly maxBodyBytes?: number | undefined;
  readonly safeToResend: boolean;
  /** A modern request for a server of the legacy era: the caller, whose sessions there it may share. */
  readonly legacyFor?: string | undefined;
  /** Bounds in milliseconds. `totalMs` 0: none, for streams. */
  readonly timeouts: {
    readonly connectMs: number;
    readonly headMs: number;
    readonly idleMs: number;
    readonly totalMs: number;
    /** `totalMs` runs from the beginning of the request, also while it waits for a connection and its body is sent. */
    readonly countsUpload?: boolean;
  };
}

/** How one backend is connected to; a `BackendEntry` is one. */
export interface UpstreamPeer {
  readonly tenant: string;
  readonly tls: UpstreamTlsEntry | null;
  readonly connection: ConnectionEntry;
  /** Version of HTTP that is spoken; undefined: HTTP/1.1. */
  readonly http?: HttpVersion;
  /** What becomes of the header fields of whatever is sent there. */
  readonly requestHeaders?: HeaderChanges;
}

export interface UpstreamHandler {
  /** Status (never 1xx) and headers of the answer. */
  onHead(head: UpstreamHead): void;
  /**
   * A piece of the body, as it arrived, without transfer coding.
   * @param lent the bytes change after the call. Only handlers that `borrow` are given such pieces.
   * @returns true if a piece that is not lent is held by nobody any more: the upstream then reads on into its memory.
   */
  onData(chunk: Buffer, lent: boolean): boolean | void;
  /** Can do with pieces that are only lent, which saves copying them. */
  readonly borrows?: boolean;
  /** Trailers of the answer: name, value, name, value …, names in lower case. The end follows. */
  onTrailers?(trailers: readonly string[]): void;
  onEnd(): void;
  onError(error: UpstreamError): void;
  /** More of a streamed body may be written. */
  onWritable?(): void;
}

export interface UpstreamHead {
  readonly status: number;
  /** Value by lower-case name; repeated ones joined by `, `. */
  header(name: string): string | undefined;
  /** Name, value, name, value … of all headers, names in lower case, as they came. */
  entries(): readonly string[];
  /** From Content-Length; undefined for chunked or close-delimited bodies. */
  readonly contentLength: number | undefined;
  /** HTTP/2: the head is all there is. */
  readonly isWhole?: boolean;
}

export interface UpstreamExchange {
  /** Stops reading: the client is slower than the upstream. */
  pause(): void;
  resume(): void;
  /**
   * The answer has become a stream that may last: from now on its connection does not count against the bound of the
   * pool; behind the answer it is closed if the pool is full by then. How many there are is bounded where streams are kept
   * open.
   */
  detach(): void;
  /** Sends a piece of a streamed body, which must not change afterwards. @returns false: wait for `onWritable`. */
  write(chunk: Buffer): boolean;
  /** The streamed body is complete. @param trailers name, value, name, value …; dropped where `trailers` was not said. */
  endBody(trailers?: readonly string[]): void;
  /** Gives up. No more calls to the handler. The connection is closed unless the exchange had ended. */
  abort(): void;
}

/** Why an exchange failed. */
export interface UpstreamError {
  readonly code:
    | 'connect-failed'
    | 'connect-timeout'
    | 'pool-full'
    | 'head-timeout'
    | 'idle-timeout'
    | 'total-timeout'
    | 'closed-early'
    | 'protocol'
    /** The answer has more bytes than the request allowed. */
    | 'too-large'
    /** Not sent: the member of a virtual server failed several times in a row. */
    | 'breaker-open'
    | 'quarantined'
    /** Not sent: the member speaks another era than the client. */
    | 'other-era';
  readonly message: string;
  /** True if no byte of the request can have been acted on. */
  readonly notAccepted: boolean;
}
