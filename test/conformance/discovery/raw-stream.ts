import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject } from '@grpc/grpc-js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { Inbox } from '@signalbox/test-harness';

/** Where a stream goes, and with which credential. */
export interface Subscriber {
  readonly address: string;
  readonly token: string;
}

/** How a stream ended. */
export interface End {
  readonly code: number;
  readonly details: string;
  /** `grpc-retry-pushback-ms`. */
  readonly pushback: string | undefined;
}

interface Response {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly bytes: number;
}

/** A delta response as tests compare it. */
export interface DeltaAnswer extends Response {
  /** `name=version`. */
  readonly versions: Readonly<Record<string, string>>;
  readonly names: readonly string[];
  readonly removed: readonly string[];
  readonly innerTypes: readonly string[];
  readonly bodies: readonly string[];
  readonly ttls: readonly (number | undefined)[];
}

/** A state-of-the-world response as tests compare it. The test family's resources begin with their name. */
export interface StateAnswer extends Response {
  readonly version: string;
  readonly innerTypes: readonly string[];
  /** Texts of the resources. */
  readonly bodies: readonly string[];
}

interface CommonRequest {
  readonly node?: { readonly id: string; readonly cluster?: string; readonly clientFeatures?: string[] };
  readonly typeUrl?: string;
  readonly responseNonce?: string;
  readonly errorDetail?: { readonly code: number; readonly message: string };
}

export interface DeltaRequest extends CommonRequest {
  readonly resourceNamesSubscribe?: string[];
  readonly resourceNamesUnsubscribe?: string[];
  readonly initialResourceVersions?: Record<string, string>;
}

export interface StateRequest extends CommonRequest {
  readonly resourceNames?: string[];
  readonly versionInfo?: string;
}

const method = '/envoy.service.discovery.v3.AggregatedDiscoveryService/';

/** One stream on a connection of its own, by exactly the messages that a test sends. */
class RawStream<R extends DescMessage, A extends Response> {
  readonly ended: Promise<End>;
  readonly #request: R;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #inbox = new Inbox<A>();
  #fences = 0;
  #taken = 0;

  constructor(to: Subscriber, options: { name: string; request: R; decode: (bytes: Buffer) => A }) {
    this.#request = options.request;
    this.#client = new Client(to.address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.max_receive_message_length': 64 << 20,
    });
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${to.token}`);
    const same = (bytes: Buffer) => bytes;
    this.#call = this.#client.makeBidiStreamRequest(method + options.name, same, same, metadata);
    this.#call.on('data', (bytes: Buffer) => this.#inbox.add(options.decode(bytes)));
    // The status that follows says the same.
    this.#call.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.#call.on('status', ({ code, details, metadata: trailers }: StatusObject) => {
        this.#client.close();
        resolve({ code, details, pushback: trailers.get('grpc-retry-pushback-ms')[0]?.toString() });
      });
    });
  }

  send(request: MessageInitShape<R>): void {
    this.#call.write(Buffer.from(toBinary(this.#request, create(this.#request, request))));
  }

  /** The next response, whatever it is. */
  async next(): Promise<A> {
    this.#taken += 1;
    const answers = await this.#inbox.atLeast(this.#taken);
    return answers[this.#taken - 1] as A;
  }

  /** Asks for a type that nobody serves. @returns what was answered before that: everything, since order is kept. */
  async fence(): Promise<readonly A[]> {
    this.#fences += 1;
    const typeUrl = `test/Fence${this.#fences}`;
    this.send({ typeUrl, resourceNamesSubscribe: ['x'] } as unknown as MessageInitShape<R>);
    const before: A[] = [];
    for (;;) {
      const answer = await this.next();
      if (answer.typeUrl === typeUrl) {
        this.acknowledge(answer);
        return before;
      }
      before.push(answer);
    }
  }

  acknowledge({ typeUrl, nonce }: Response): void {
    this.send({ typeUrl, responseNonce: nonce } as unknown as MessageInitShape<R>);
  }

  /** Stops reading: what the server sends stays with it. */
  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  /** Half-closes. */
  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

/** A delta stream. */
export class DeltaStream extends RawStream<typeof DeltaDiscoveryRequestSchema, DeltaAnswer> {
  constructor(to: Subscriber) {
    super(to, { name: 'DeltaAggregatedResources', request: DeltaDiscoveryRequestSchema, decode: deltaAnswer });
  }

  /** Sends the first request of a type and returns the answer, unanswered. */
  ask(request: DeltaRequest, id = 'node-1'): Promise<DeltaAnswer> {
    this.send({ node: { id, cluster: 'default' }, ...request });
    return this.next();
  }

  ack(answer: DeltaAnswer, more: DeltaRequest = {}): void {
    this.send({ typeUrl: answer.typeUrl, responseNonce: answer.nonce, ...more });
  }

  nack(answer: DeltaAnswer, message: string, code = 3): void {
    this.ack(answer, { errorDetail: { code, message } });
  }
}

/** A state-of-the-world stream. */
export class StateStream extends RawStream<typeof DiscoveryRequestSchema, StateAnswer> {
  constructor(to: Subscriber) {
    super(to, { name: 'StreamAggregatedResources', request: DiscoveryRequestSchema, decode: stateAnswer });
  }

  ask(request: StateRequest, id = 'node-1'): Promise<StateAnswer> {
    this.send({ node: { id, cluster: 'default' }, ...request });
    return this.next();
  }

  /** Acknowledges, with the names that stay subscribed. */
  ack(answer: StateAnswer, resourceNames: string[] = [], more: StateRequest = {}): void {
    const { typeUrl, nonce: responseNonce, version: versionInfo } = answer;
    this.send({ typeUrl, responseNonce, versionInfo, resourceNames, ...more });
  }

  nack(answer: StateAnswer, resourceNames: string[], errorDetail: { code: number; message: string }): void {
    this.ack(answer, resourceNames, { versionInfo: '', errorDetail });
  }
}

function deltaAnswer(bytes: Buffer): DeltaAnswer {
  const { typeUrl, nonce, resources, removedResources } = decoded(DeltaDiscoveryResponseSchema, bytes);
  return {
    ...{ typeUrl, nonce, bytes: bytes.length, removed: removedResources },
    versions: Object.fromEntries(resources.map(({ name, version }) => [name, version])),
    names: resources.map(({ name }) => name),
    innerTypes: resources.map(({ resource }) => resource?.typeUrl ?? ''),
    bodies: resources.map(({ resource }) => Buffer.from(resource?.value ?? []).toString('hex')),
    ttls: resources.map(({ ttl }) => ttl && Number(ttl.seconds) * 1_000 + ttl.nanos / 1e6),
  };
}

function stateAnswer(bytes: Buffer): StateAnswer {
  const { typeUrl, nonce, versionInfo, resources } = decoded(DiscoveryResponseSchema, bytes);
  return {
    ...{ typeUrl, nonce, bytes: bytes.length, version: versionInfo },
    innerTypes: resources.map((any) => any.typeUrl),
    bodies: resources.map(({ value }) => Buffer.from(value).toString()),
  };
}

function decoded<D extends DescMessage>(schema: D, bytes: Buffer): MessageShape<D> {
  return fromBinary(schema, bytes);
}
