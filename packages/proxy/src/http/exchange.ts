/**
 * One HTTP request and its answer, whatever codec carries it. Phases see only this: never a socket, never node:http.
 *
 * Rules: exactly one of `respond` or `stream` is called, once. Everything given as bytes is handed over and must not
 * change afterwards. After `closed` nothing is written; calls then do nothing.
 */
export interface Exchange {
  readonly head: RequestHead;
  /**
   * The whole body, at most `maxBytes`. Resolves with undefined when the body is larger (the codec then answers 413 and
   * closes) or the client left. May be called once.
   */
  body(maxBytes: number): Promise<Buffer | undefined> | Buffer | undefined;
  /**
   * The body in pieces as they come, instead of `body`: the sink may be called at once. May be called once. Answering
   * does not end it, and when the client leaves nothing more comes.
   */
  bodyTo(sink: BodySink): void;
  /** The sink takes pieces again. */
  resumeBody(): void;
  /**
   * Sends head and whole body at once.
   * @returns true if nobody holds the body's bytes any more, so that their memory may be used again.
   */
  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean;
  /**
   * Sends the head and returns a writer for the body; `contentLength` undefined means chunked.
   * @param trails the end may have trailers, where `takesTrailers` says so.
   */
  stream(status: number, headers: readonly string[], contentLength?: number, trails?: boolean): BodyWriter;
  /** Answers may end with trailers: HTTP/2. */
  readonly takesTrailers: boolean;
  /** True once an answer has begun, by whomever: a body that is too large is answered by the codec. */
  readonly answered: boolean;
  /** True once the client has gone or the answer is complete. */
  readonly closed: boolean;
  /** Called once if the client leaves before the answer is complete. At most one listener; the last one set counts. */
  onClientGone(listener: () => void): void;
  /** Bytes of answer body written so far. */
  readonly responseBytes: number;
}

export interface RequestHead {
  readonly method: string;
  /** Origin-form target without query. */
  readonly path: string;
  /** Query without `?`; empty when there is none. */
  readonly query: string;
  /** Host header without port, lower case. */
  readonly host: string;
  /** Bytes of the body; 0 without one, undefined when only its end will tell. */
  readonly contentLength: number | undefined;
  /** Value of a header by lower-case name; repeated ones joined by `, `. */
  header(name: string): string | undefined;
  /** Name, value, name, value … of the headers whose lower-case name starts with `prefix`; empty when there are none. */
  withPrefix(prefix: string): readonly string[];
  /** Port of the listener that took the connection. */
  readonly port: number;
  readonly remoteAddress: string;
  /** The connection is encrypted. */
  readonly secure: boolean;
}

/** Takes a body in pieces. */
export interface BodySink {
  /** @param chunk does not change afterwards. @returns false to be given no more until `resumeBody`, or a little more. */
  onBodyData(chunk: Buffer): boolean;
  /** The body is complete. @param trailers name, value, name, value …, of HTTP/2 alone. */
  onBodyEnd(trailers?: readonly string[]): void;
}

/** Writes a body in pieces, with back-pressure. */
export interface BodyWriter {
  /** @returns false when the buffer is full: wait for `onDrain` before writing on. */
  write(chunk: Buffer | string): boolean;
  /** At most one listener; the last one set counts. */
  onDrain(listener: () => void): void;
  /** @param trailers name, value, name, value …; dropped unless the answer was begun with `trails`. */
  end(chunk?: Buffer | string, trailers?: readonly string[]): void;
  /** Ends without completing: the client sees a broken answer. For upstreams that broke off. */
  abort(): void;
  /** Bytes accepted but not yet taken by the client. */
  readonly bufferedBytes: number;
}
