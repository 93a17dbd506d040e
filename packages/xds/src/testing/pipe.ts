import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { Clock, Random } from '@signalbox/runtime';
import type {
  ClientStream,
  ClientTransport,
  ClientTransportListener,
  ServerTransport,
  ServerTransportListener,
} from '../discovery-transport.ts';
import { type StreamEnd, statusCode } from '../stream-end.ts';

export interface PipeOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Each message takes up to this long; messages of one stream never overtake each other. */
  readonly maxDelayMs: number;
  /** Sent by the client when a stream opens. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client's way to a server without sockets: streams with delays by seed, that a test can cut. */
export class PipeTransport implements ClientTransport {
  readonly #serve: (transport: ServerTransport) => void;
  readonly #options: PipeOptions;
  readonly #open = new Set<Pipe>();

  /** @param serve what takes streams, such as `AdsServer.serve`. */
  constructor(serve: (transport: ServerTransport) => void, options: PipeOptions) {
    this.#serve = serve;
    this.#options = options;
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#open.size;
  }

  open(listener: ClientTransportListener): ClientStream {
    const pipe = new Pipe(listener, this.#options, () => this.#open.delete(pipe));
    this.#open.add(pipe);
    this.#serve(pipe.server);
    return pipe.client;
  }

  /** Cuts every stream, as a lost connection would: what is under way is lost. */
  cut(): void {
    for (const pipe of this.#open) pipe.cut();
  }
}

interface PipeEnd {
  readonly code: number;
  readonly detail: string;
  readonly retryAfterMs?: number | undefined;
}

/** One stream: two directions, each in order. */
class Pipe {
  readonly #toClient: Direction;
  readonly #toServer: Direction;
  readonly #listener: ClientTransportListener;
  readonly #metadata = new Metadata();
  readonly #onOver: () => void;
  #server: ServerTransportListener | undefined;
  #isOver = false;

  constructor(listener: ClientTransportListener, options: PipeOptions, onOver: () => void) {
    this.#listener = listener;
    this.#onOver = onOver;
    this.#toClient = new Direction(options);
    this.#toServer = new Direction(options);
    for (const [name, value] of Object.entries(options.headers ?? {})) this.#metadata.set(name, value);
  }

  get client(): ClientStream {
    return {
      remoteAddress: 'pipe',
      send: (request) => {
        const bytes = toBinary(DeltaDiscoveryRequestSchema, request);
        this.#toServer.send(() => this.#server?.onRequest(decodeRequest(bytes)));
      },
      cancel: () => this.#over({ code: 1, detail: 'cancelled by the client' }, true),
    };
  }

  get server(): ServerTransport {
    return {
      variant: 'delta',
      metadata: this.#metadata,
      certificate: undefined,
      remoteAddress: 'pipe',
      listen: (listener) => void (this.#server = listener),
      pause: () => this.#toServer.pause(),
      resume: () => this.#toServer.resume(),
      accept: () => this.#toClient.send(() => this.#listener.onAccepted()),
      send: ({ bytes }) =>
        this.#toClient.send(() => this.#listener.onResponse(fromBinary(DeltaDiscoveryResponseSchema, bytes))),
      end: (end) => this.#end(end),
    };
  }

  cut(): void {
    this.#over({ code: statusCode.unavailable, detail: 'the connection was cut' }, true);
  }

  /** The status arrives after everything that was sent before it. */
  #end({ code, message, retryAfterMs }: StreamEnd): void {
    this.#server = undefined;
    this.#toClient.send(() => this.#over({ code, detail: message, retryAfterMs }, false));
  }

  #over({ code, detail, retryAfterMs }: PipeEnd, tellServer: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#toClient.drop();
    this.#toServer.drop();
    this.#onOver();
    const server = this.#server;
    this.#server = undefined;
    if (tellServer) server?.onEnd(detail);
    this.#listener.onEnd(code, detail, retryAfterMs);
  }
}

function decodeRequest(bytes: Uint8Array): DeltaDiscoveryRequest {
  return fromBinary(DeltaDiscoveryRequestSchema, bytes);
}

/** Messages on their way, in order. */
class Direction {
  readonly #options: PipeOptions;
  #lastArrivalMs = 0;
  #waiting: (() => void)[] = [];
  #isPaused = false;
  #isDropped = false;

  constructor(options: PipeOptions) {
    this.#options = options;
  }

  send(deliver: () => void): void {
    const { clock, random, maxDelayMs } = this.#options;
    const now = clock.monotonic();
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, now + random.fraction() * maxDelayMs);
    clock.timer(this.#lastArrivalMs - now, () => this.#arrive(deliver));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && !this.#isDropped) {
      const deliver = this.#waiting.shift();
      if (!deliver) return;
      deliver();
    }
  }

  drop(): void {
    this.#isDropped = true;
    this.#waiting = [];
  }

  #arrive(deliver: () => void): void {
    if (this.#isDropped) return;
    if (this.#isPaused) this.#waiting.push(deliver);
    else deliver();
  }
}
