import { type DescMethodUnary, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { DescMessage } from '@bufbuild/protobuf';
import type { Metadata } from '@grpc/grpc-js';

import { callStatus, type GrpcCall } from './grpc-call.ts';
import { frameMessage } from './grpc-framing.ts';
import type { GrpcServer } from './grpc-server.ts';

/** A call of a method that takes one message and answers with one. */
export interface UnaryCall<Request> {
  readonly request: Request;
  readonly metadata: Metadata;
  /** The client's certificate in DER, if it has shown one that is trusted. */
  readonly certificate: Buffer | undefined;
  /** Address and port of the other end. */
  readonly peer: string;
}

/** An error whose status and text are for the caller. */
export class CallFailure extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'CallFailure';
    this.code = code;
  }
}

/** Lets a server answer calls of a method. What is thrown other than a {@link CallFailure} says nothing to the caller. */
export function handleUnary<Request extends DescMessage, Response extends DescMessage>(
  server: Pick<GrpcServer, 'handle'>,
  method: DescMethodUnary<Request, Response>,
  answer: (call: UnaryCall<MessageShape<Request>>) => Promise<MessageShape<Response>>,
): void {
  server.handle(`/${method.parent.typeName}/${method.name}`, (call) => {
    let request: Buffer | undefined;
    call.listen({
      onMessage(message) {
        if (request) call.fail({ code: callStatus.unimplemented, message: 'the method takes one message' });
        request = message;
      },
      onHalfClosed() {
        if (!request) call.fail({ code: callStatus.unimplemented, message: 'the request is missing' });
        else void respond(call, request, { method, answer });
      },
      onBroken: () => undefined,
    });
  });
}

async function respond<Request extends DescMessage, Response extends DescMessage>(
  call: GrpcCall,
  message: Buffer,
  served: {
    readonly method: DescMethodUnary<Request, Response>;
    readonly answer: (call: UnaryCall<MessageShape<Request>>) => Promise<MessageShape<Response>>;
  },
): Promise<void> {
  const { method, answer } = served;
  const { metadata, certificate, peer } = call;
  try {
    const request = decoded(method.input, message);
    const response = await answer({ request, metadata, certificate, peer });
    call.send(frameMessage([toBinary(method.output, response)]));
    call.end({ code: callStatus.ok, message: '' });
  } catch (error) {
    if (error instanceof CallFailure) call.end({ code: error.code, message: error.message });
    else call.end({ code: callStatus.internal, message: 'internal error' });
  }
}

/** @throws CallFailure if it is no message of this type. */
function decoded<Message extends DescMessage>(type: Message, bytes: Buffer): MessageShape<Message> {
  try {
    return fromBinary(type, bytes);
  } catch (error) {
    throw new CallFailure(callStatus.internal, `the request cannot be read: ${String(error)}`);
  }
}
