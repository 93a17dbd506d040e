import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject, status } from '@grpc/grpc-js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { systemClock } from '@signalbox/runtime';
import { AgentgatewayStore, type Reject } from './store.ts';

export interface AgentgatewayClientOptions {
  /** `host:port` of discovery. */
  readonly address: string;
  readonly token: string;
  readonly gateway: string;
  readonly podName: string;
  /** Resources that this node cannot take, by name, and how badly. */
  readonly refuses?: Readonly<Record<string, Reject['severity']>>;
}

/** A response, as far as tests ask for it. */
export interface SeenResponse {
  readonly typeUrl: string;
  readonly updated: readonly string[];
  readonly removed: readonly string[];
}

const addressType = 'type.googleapis.com/istio.workload.Address';
const resourceType = 'type.googleapis.com/agentgateway.dev.resource.Resource';
const method = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const firstBackoffMs = 10;
const maxBackoffMs = 15_000;

/**
 * A model of agentgateway's end of discovery, as its documentation and source describe it: two delta subscriptions to
 * everything, the node on their first requests only; answers are taken resource by resource and refused with code 0 and a
 * list in JSON; after a stream has ended it says what it holds, but for what it has refused.
 */
export class AgentgatewayClient {
  readonly store = new AgentgatewayStore();
  readonly responses: SeenResponse[] = [];
  /** How its streams ended. */
  readonly ends: StatusObject[] = [];
  readonly #options: AgentgatewayClientOptions;
  readonly #versions = new Map<string, Map<string, string>>();
  readonly #expected = new Set([addressType, resourceType]);
  #refuses: Readonly<Record<string, Reject['severity']>>;
  #address: string;
  #backoffMs = firstBackoffMs;
  #call: ClientDuplexStream<Buffer, Buffer> | undefined;
  #stopped = false;

  constructor(options: AgentgatewayClientOptions) {
    this.#options = options;
    this.#refuses = options.refuses ?? {};
    this.#address = options.address;
    this.#connect();
  }

  /** It takes traffic once both subscriptions were answered by something that it did not refuse. */
  get isReady(): boolean {
    return this.#expected.size === 0;
  }

  /** What it cannot take from now on. */
  refuse(names: Readonly<Record<string, Reject['severity']>>): void {
    this.#refuses = names;
  }

  /** Cuts the stream; it comes back by itself, to this address or another. */
  reconnect(address = this.#address): void {
    this.#address = address;
    this.#call?.cancel();
  }

  stop(): void {
    this.#stopped = true;
    this.#call?.cancel();
  }

  /** After it was stopped: with everything that it had. */
  start(): void {
    this.#stopped = false;
    this.#connect();
  }

  #connect(): void {
    const client = new Client(this.#address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.max_receive_message_length': 200 << 20,
    });
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${this.#options.token}`);
    metadata.set('clusterid', 'Kubernetes');
    const same = (bytes: Buffer) => bytes;
    const call = client.makeBidiStreamRequest(method, same, same, metadata);
    this.#call = call;
    call.on('data', (bytes: Buffer) => this.#answer(call, bytes));
    // The status that follows says the same.
    call.on('error', () => undefined);
    call.on('status', (end: StatusObject) => {
      client.close();
      this.#ends(end);
    });
    for (const typeUrl of [addressType, resourceType]) {
      const initialResourceVersions = Object.fromEntries(this.#versions.get(typeUrl) ?? []);
      this.#send(call, { typeUrl, node: this.#node(), initialResourceVersions });
    }
  }

  /** A stream that ended well is opened again at once, others after a while that grows. */
  #ends(end: StatusObject): void {
    this.ends.push(end);
    if (this.#stopped) return;
    const isPlanned = [status.OK, status.CANCELLED, status.DEADLINE_EXCEEDED].includes(end.code);
    this.#backoffMs = isPlanned ? firstBackoffMs : Math.min(maxBackoffMs, this.#backoffMs * 2);
    const waitMs = end.code === status.OK ? 0 : this.#backoffMs;
    void systemClock.sleep(waitMs).then(() => {
      if (!this.#stopped) this.#connect();
    });
  }

  #node() {
    const { gateway, podName } = this.#options;
    const namespace = 'signalbox';
    return {
      id: `agentgateway~127.0.0.1~${podName}.${namespace}~${namespace}.svc.cluster.local`,
      metadata: {
        ...{ NAME: podName, NAMESPACE: namespace, INSTANCE_IPS: '127.0.0.1', NODE_NAME: '' },
        ...{ GATEWAY_NAME: gateway, role: `${namespace}~${gateway}` },
      },
    };
  }

  #answer(call: ClientDuplexStream<Buffer, Buffer>, bytes: Buffer): void {
    if (call !== this.#call) return;
    this.#backoffMs = firstBackoffMs;
    const { typeUrl, nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    const updated = resources.map(({ name }) => name);
    this.responses.push({ typeUrl, updated, removed: removedResources });
    const rejects = typeUrl === resourceType ? this.#take(resources, removedResources) : [];
    const failed = new Set(rejects.filter(({ severity }) => severity === 'error').map(({ key }) => key));
    const versions = this.#versions.get(typeUrl) ?? new Map<string, string>();
    this.#versions.set(typeUrl, versions);
    for (const name of removedResources) versions.delete(name);
    for (const { name, version } of resources) if (!failed.has(name)) versions.set(name, version);
    if (failed.size === 0) this.#expected.delete(typeUrl);
    const message = JSON.stringify(rejects.map(({ key, severity, reason }) => ({ key, [severity]: reason })));
    this.#send(call, {
      ...{ typeUrl, responseNonce: nonce },
      ...(rejects.length === 0 ? {} : { errorDetail: { code: 0, message } }),
    });
  }

  #take(
    resources: readonly { readonly name: string; readonly resource?: { readonly value: Uint8Array } | undefined }[],
    removed: readonly string[],
  ): readonly Reject[] {
    const refusals = this.#refuses;
    const isRefused = ({ name }: { readonly name: string }): boolean => refusals[name] === 'error';
    const taken = resources
      .filter((one) => !isRefused(one))
      .map(({ name, resource }) => ({ name, body: resource?.value ?? new Uint8Array() }));
    const rejects = this.store.apply(taken, removed);
    const unable = resources.flatMap(({ name }): Reject[] => {
      const severity = refusals[name];
      return severity === undefined ? [] : [{ key: name, severity, reason: 'this node cannot do that' }];
    });
    return [...rejects, ...unable];
  }

  #send(
    call: ClientDuplexStream<Buffer, Buffer>,
    request: Partial<Omit<DeltaDiscoveryRequest, 'node' | 'errorDetail' | '$typeName'>> & {
      readonly node?: object;
      readonly errorDetail?: object;
    },
  ): void {
    call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))));
  }
}
