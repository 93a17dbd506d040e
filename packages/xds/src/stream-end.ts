/** Why the server ends a stream. */
export interface StreamEnd {
  /** A gRPC status code, never OK: some clients reconnect without a delay after OK. */
  readonly code: StatusCode;
  /** What happened and what to do. */
  readonly message: string;
  /** When the client may come back, in milliseconds from now: sent as `grpc-retry-pushback-ms`. */
  readonly retryAfterMs?: number;
}

/** Trailer that tells a gRPC client how long to wait before it tries again. */
export const pushbackHeader = 'grpc-retry-pushback-ms';

/** The gRPC status codes that a stream can end with. */
export const statusCode = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  aborted: 10,
  unavailable: 14,
  unauthenticated: 16,
} as const;
export type StatusCode = (typeof statusCode)[keyof typeof statusCode];
