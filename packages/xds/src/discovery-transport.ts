import type { Metadata, MethodDefinition } from '@grpc/grpc-js';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { EncodedResponse } from './encoded-response.ts';
import type { StreamEnd } from './stream-end.ts';
import type { StreamRequest, StreamVariant } from './stream-request.ts';

/** One stream as the server holds it, whatever carries it. */
export interface ServerTransport {
  /** All requests are of this variant, and all responses have to be. */
  readonly variant: StreamVariant;
  readonly metadata: Metadata;
  /** The client's certificate in DER, if it has shown one that is trusted. */
  readonly certificate: Buffer | undefined;
  /** Address and port of the other end. */
  readonly remoteAddress: string;
  /** Begins to read. Call once. */
  listen(listener: ServerTransportListener): void;
  /** Stops reading, up to `resume`. */
  pause(): void;
  resume(): void;
  /** Tells the client that it is let in. */
  accept(): void;
  send(response: EncodedResponse): void;
  /** Ends the stream with a status. `onEnd` is not called any more. */
  end(end: StreamEnd): void;
}

export interface ServerTransportListener {
  onRequest(request: StreamRequest): void;
  /** The stream ended by itself or by the client. Called at most once. */
  onEnd(reason: string): void;
}

/** Opens delta streams for a client. */
export interface ClientTransport {
  /** Dials. Every call is another connection. */
  open(listener: ClientTransportListener): ClientStream;
  /**
   * Calls another service of the same server over the connection of the stream that is open. Absent: there is no other.
   * @param deadlineMs in milliseconds since the epoch.
   * @throws Error when there is no connection, or with the status of the call.
   */
  call?<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Response>;
}

/** One delta stream as the client holds it. */
export interface ClientStream {
  /** Known once the stream is accepted. */
  readonly remoteAddress: string;
  send(request: DeltaDiscoveryRequest): void;
  /** Ends the stream; `onEnd` follows. */
  cancel(): void;
}

export interface ClientTransportListener {
  /** The server let the client in. */
  onAccepted(): void;
  onResponse(response: DeltaDiscoveryResponse): void;
  /**
   * The stream has ended: called exactly once, whatever happened. `code` is a gRPC status code, 0 for a clean end;
   * `retryAfterMs` is how long the server wants the client to stay away.
   */
  onEnd(code: number, detail: string, retryAfterMs?: number): void;
}
