import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type StatusObject,
} from '@grpc/grpc-js';
import type { DeltaDiscoveryResponse } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { Secret } from '@signalbox/runtime';
import type { ClientStream, ClientTransport, ClientTransportListener } from './discovery-transport.ts';
import { deltaMethod } from './service-definition.ts';
import { pushbackHeader } from './stream-end.ts';

export interface GrpcClientTransportOptions {
  /** `host:port` of the server. */
  readonly address: string;
  /** Bearer token, sent when a stream opens; absent: the certificate says who this is. */
  readonly token: Secret | undefined;
  /** Asked when dialing; absent: plaintext. */
  readonly tls?: () => AdsClientTls;
  /** A larger response ends the stream. */
  readonly maxResponseBytes: number;
  /** Time between pings that find a half-open connection. */
  readonly keepaliveIntervalMs: number;
  /** How long an answer to a ping may take. */
  readonly keepaliveTimeoutMs: number;
}

export interface AdsClientTls {
  /** PEM; absent: the system's. */
  readonly rootCertificates?: Buffer | undefined;
  /** This end's certificate with intermediates and its key, both PEM. */
  readonly identity?: { readonly certificateChain: Buffer; readonly privateKey: Buffer } | undefined;
  /** Name to expect in the server's certificate, if it is not the address's host. */
  readonly serverName?: string;
}

/** A pushback that is no number, or negative, says nothing. */
function pushbackIn(trailers: Metadata): number | undefined {
  const [value] = trailers.get(pushbackHeader);
  return typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

/** Streams of grpc-js, each on a connection of its own. Waiting between attempts is the caller's. */
export class GrpcClientTransport implements ClientTransport {
  readonly #options: GrpcClientTransportOptions;
  /** Of the newest stream, while that is open. */
  #client: Client | undefined;

  constructor(options: GrpcClientTransportOptions) {
    this.#options = options;
  }

  open(listener: ClientTransportListener): ClientStream {
    const client = this.#dial();
    this.#client = client;
    const metadata = this.#credentials();
    const { path, requestSerialize, responseDeserialize } = deltaMethod;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    call.on('metadata', () => listener.onAccepted());
    call.on('data', (response: DeltaDiscoveryResponse) => listener.onResponse(response));
    // The status that follows says the same; without a listener the error would be an exception.
    call.on('error', () => undefined);
    call.on('status', ({ code, details, metadata: trailers }: StatusObject) => {
      client.close();
      if (this.#client === client) this.#client = undefined;
      listener.onEnd(code, details, pushbackIn(trailers));
    });
    return {
      get remoteAddress() {
        return call.getPeer();
      },
      send: (request) => void call.write(request),
      cancel: () => call.cancel(),
    };
  }

  call<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Response> {
    const client = this.#client;
    if (!client) return Promise.reject(new Error('there is no connection'));
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      const options = { deadline: deadlineMs };
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#credentials(),
        options,
        (error, response) => {
          if (error) reject(error);
          else if (response === undefined) reject(new Error('the answer is empty'));
          else resolve(response);
        },
      );
    });
  }

  #credentials(): Metadata {
    const metadata = new Metadata();
    const { token } = this.#options;
    if (token) metadata.set('authorization', `Bearer ${token.reveal()}`);
    return metadata;
  }

  #dial(): Client {
    const { address, maxResponseBytes, keepaliveIntervalMs, keepaliveTimeoutMs } = this.#options;
    const tls = this.#options.tls?.();
    const channelCredentials = tls ? secureCredentials(tls) : credentials.createInsecure();
    return new Client(address, channelCredentials, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_channelz': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.keepalive_time_ms': keepaliveIntervalMs,
      'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
      'grpc.max_receive_message_length': maxResponseBytes,
      ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
    });
  }
}

function secureCredentials({ rootCertificates, identity }: AdsClientTls): ChannelCredentials {
  return credentials.createSsl(
    rootCertificates ?? null,
    identity?.privateKey ?? null,
    identity?.certificateChain ?? null,
  );
}
