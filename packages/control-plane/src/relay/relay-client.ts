import { Client, type ClientOptions, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  IdentifyNodeRequestSchema,
  type IdentifyNodeResponse,
  RelayService,
  type ReportRequest,
  type ReportResponse,
} from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import type { Clock, Secret } from '@signalbox/runtime';
import { type AdsClientTls, serviceDefinition } from '@signalbox/xds';

export interface RelayClientOptions {
  /** `host:port` of discovery. */
  readonly address: string;
  /** Of the relay itself; undefined: its certificate says who it is. */
  readonly token: Secret | undefined;
  /** Asked when dialing; absent: plaintext. */
  readonly tls?: () => AdsClientTls;
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, 'now'>;
}

/** The upstream does not answer, or cannot say: what is known may serve instead. */
export class UpstreamUnavailable extends Error {
  constructor(detail: string) {
    super(`the upstream cannot be asked: ${detail}`);
    this.name = 'UpstreamUnavailable';
  }
}

/** What somebody has shown. */
export type Credential = NonNullable<MessageInitShape<typeof IdentifyNodeRequestSchema>['credential']>;

const methods = serviceDefinition(RelayService);
const unavailable = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.CANCELLED,
]);
const channelOptions: ClientOptions = { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_http_proxy': 0 };

/** Asks the upstream about nodes, on one connection that is made when it is needed, and again with newer certificates. */
export class RelayClient {
  readonly #options: RelayClientOptions;
  #client: Client | undefined;
  #secured: AdsClientTls | undefined;

  constructor(options: RelayClientOptions) {
    this.#options = options;
  }

  /** Undefined: nobody of this gateway. @throws UpstreamUnavailable, or Error if this relay is refused. */
  identify(credential: Credential): Promise<IdentifyNodeResponse | undefined> {
    return this.#call<IdentifyNodeResponse>('identifyNode', create(IdentifyNodeRequestSchema, { credential }));
  }

  /** Tells what the nodes below run. @throws UpstreamUnavailable, or Error if this relay is refused. */
  async report(request: ReportRequest): Promise<ReportResponse> {
    const response = await this.#call<ReportResponse>('report', request);
    if (!response) throw new Error('the upstream does not know what a report is');
    return response;
  }

  close(): void {
    this.#client?.close();
  }

  #call<Response>(name: string, request: object): Promise<Response | undefined> {
    const method = methods[name];
    if (!method) throw new Error(`there is no method ${name}`);
    const { token, timeoutMs, clock } = this.#options;
    const metadata = new Metadata();
    if (token) metadata.set('authorization', `Bearer ${token.reveal()}`);
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: Response) => {
        if (!error) resolve(response);
        else if (error.code === status.NOT_FOUND) resolve(undefined);
        else reject(unavailable.has(error.code) ? new UpstreamUnavailable(error.details) : error);
      };
      const { path, requestSerialize, responseDeserialize } = method;
      const deadline = { deadline: clock.now() + timeoutMs };
      this.#dialed().makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, deadline, done);
    });
  }

  #dialed(): Client {
    const tls = this.#options.tls?.();
    const isSame = tls?.identity?.certificateChain === this.#secured?.identity?.certificateChain;
    if (this.#client && isSame && tls?.rootCertificates === this.#secured?.rootCertificates) return this.#client;
    this.#client?.close();
    this.#secured = tls;
    const { rootCertificates = null, identity } = tls ?? {};
    const secure = tls
      ? credentials.createSsl(rootCertificates, identity?.privateKey ?? null, identity?.certificateChain ?? null)
      : credentials.createInsecure();
    this.#client = new Client(this.#options.address, secure, channelOptions);
    return this.#client;
  }
}
