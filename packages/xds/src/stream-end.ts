/** Why the server ends a stream. */
export interface StreamEnd {
  /** A gRPC status code, never OK: some clients reconnect without a delay after OK. */
  readonly code: StatusCode;
  /** What happened and what to do. */
  readonly message: string;
}

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
