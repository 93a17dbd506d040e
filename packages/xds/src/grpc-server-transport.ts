import { fromBinary } from '@bufbuild/protobuf';
import type { Metadata } from '@grpc/grpc-js';
import { DiscoveryRequestSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';

import { readAcknowledgement } from './acknowledgement.ts';
import type { ServerTransport, ServerTransportListener } from './discovery-transport.ts';
import type { EncodedResponse } from './encoded-response.ts';
import { callStatus, type GrpcCall } from './grpc-call.ts';
import { readDeltaRequest } from './held-versions.ts';
import { pushbackHeader, type StreamEnd } from './stream-end.ts';
import type { StreamRequest, StreamVariant } from './stream-request.ts';

/** A call of either method of the aggregated service. */
export class GrpcServerTransport implements ServerTransport {
  readonly variant: StreamVariant;
  readonly #call: GrpcCall;

  constructor(call: GrpcCall, variant: StreamVariant) {
    this.variant = variant;
    this.#call = call;
  }

  get metadata(): Metadata {
    return this.#call.metadata;
  }

  get certificate(): Buffer | undefined {
    return this.#call.certificate;
  }

  get remoteAddress(): string {
    return this.#call.peer;
  }

  listen(listener: ServerTransportListener): void {
    const call = this.#call;
    const decode = decoders[this.variant];
    call.listen({
      onMessage(message) {
        const request = decode(message);
        if (request) listener.onRequest(request);
        else call.fail({ code: callStatus.internal, message: 'a request cannot be read: it is none of this method' });
      },
      onHalfClosed() {
        listener.onEnd('the client ended the stream');
        call.end({ code: callStatus.ok, message: '' });
      },
      onBroken: (reason) => listener.onEnd(reason),
    });
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  accept(): void {
    this.#call.accept();
  }

  send({ frame }: EncodedResponse): void {
    this.#call.send(frame);
  }

  end({ code, message, retryAfterMs }: StreamEnd): void {
    const trailers = retryAfterMs === undefined ? {} : { [pushbackHeader]: String(Math.ceil(retryAfterMs)) };
    this.#call.end({ code, message, trailers });
  }
}

type Decoder = (message: Buffer) => StreamRequest | undefined;

const decoders: Readonly<Record<StreamVariant, Decoder>> = {
  delta: (message) => readAcknowledgement(message) ?? orNothing(() => readDeltaRequest(message)),
  state: (message) => orNothing(() => fromBinary(DiscoveryRequestSchema, message)),
};

function orNothing<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
