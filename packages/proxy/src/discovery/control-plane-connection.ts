import { join } from 'node:path';
import type { MethodDefinition } from '@grpc/grpc-js';
import { kinds, typeUrlOf } from '@signalbox/config';
import {
  CatalogService,
  type ClaimBackendsRequest,
  type ClaimBackendsResponse,
  type ReportCatalogRequest,
  type ReportCatalogResponse,
} from '@signalbox/proto/signalbox/node/v1/catalog_service_pb.ts';
import {
  type ReportHealthRequest,
  type ReportHealthResponse,
  NodeHealthService,
} from '@signalbox/proto/signalbox/node/v1/node_health_service_pb.ts';
import {
  type Clock,
  type HostPort,
  type Logger,
  type Metrics,
  type Random,
  requireProtection,
  TlsFiles,
} from '@signalbox/runtime';
import {
  AdsClient,
  type AdsClientTls,
  type ClientHandler,
  serviceDefinition,
  type SubscriptionChange,
} from '@signalbox/xds';
import type { ProxySettings } from '../settings.ts';
import { proxyVersion } from '../version.ts';
import { GrpcJoinClient } from './join-client.ts';
import { hasJoined, NodeCertificate } from './node-certificate.ts';

export interface ControlPlaneConnectionOptions {
  readonly settings: ProxySettings;
  readonly nodeId: string;
  readonly stateFolder: string;
  readonly handler: ClientHandler;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * The discovery stream and what this node shows to be let in: a token, a certificate from files that somebody else
 * renews, or one that it has bought with a join token and renews itself.
 */
export class ControlPlaneConnection {
  readonly #client: AdsClient;
  readonly #files: TlsFiles | undefined;
  readonly #certificate: NodeCertificate | undefined;
  readonly #now: () => number;
  #stopped = false;

  private constructor(options: ControlPlaneConnectionOptions, address: string, means: Means) {
    const { files } = means;
    this.#now = () => options.clock.now();
    this.#files = files;
    const { joinAddress } = options.settings;
    const signer = joinAddress ? addressOf(joinAddress) : address;
    this.#certificate = files && means.joins ? certificateOf(options, signer, files) : undefined;
    const certificate = this.#certificate;
    const tls = files && (() => certificate?.tls ?? filesTls(files));
    this.#client = adsClientOf(options, address, tls);
  }

  /** @throws Error when the settings do not say how to be let in, or files cannot be used. */
  static async open(options: ControlPlaneConnectionOptions): Promise<ControlPlaneConnection> {
    const { settings, stateFolder } = options;
    const {
      discoveryAddress,
      discoveryToken,
      joinToken,
      discoveryCa,
      discoveryCert: cert,
      discoveryKey: key,
    } = settings;
    const isOther = discoveryToken !== undefined || cert !== '';
    const joins = joinToken !== undefined || (!isOther && (await hasJoined(identityFolder(stateFolder))));
    if (!discoveryAddress || !(isOther || joins)) {
      throw new Error(
        'set SIGNALBOX_PROXY_DISCOVERY_ADDRESS and SIGNALBOX_PROXY_TOKEN (or SIGNALBOX_PROXY_JOIN_TOKEN, or a certificate) to serve what a control plane says, or SIGNALBOX_PROXY_CONFIG to serve files',
      );
    }
    const isSecure = discoveryCa !== '' || cert !== '' || key !== '';
    if (joinToken && discoveryCa === '') {
      throw new Error(
        'SIGNALBOX_PROXY_JOIN_TOKEN needs SIGNALBOX_PROXY_DISCOVERY_CA: a certificate is of use only over TLS',
      );
    }
    requireProtection(
      {
        ...{ address: discoveryAddress, purpose: 'the control plane', isSecure },
        remedy: 'SIGNALBOX_PROXY_DISCOVERY_CA',
      },
      { isAllowed: settings.allowPlaintext, logger: options.logger },
    );
    const files = { cert, key, ca: discoveryCa === '' ? [] : [discoveryCa] };
    const tls = isSecure
      ? await TlsFiles.open({ ...options, purpose: 'discovery', files, pollMs: settings.tlsPoll })
      : undefined;
    return new ControlPlaneConnection(options, addressOf(discoveryAddress), { files: tls, joins });
  }

  /** Dials in the background, as soon as there is something to show. */
  async start(): Promise<void> {
    const dial = () => {
      if (!this.#stopped) this.#client.start();
    };
    if (this.#certificate) await this.#certificate.start(dial);
    else dial();
  }

  /** Tells how this node does, over the connection of the discovery stream. @throws when it did not arrive. */
  report(request: ReportHealthRequest): Promise<ReportHealthResponse> {
    return this.#client.call(reportMethod, request, this.#now() + reportTimeoutMs);
  }

  /** Asks which servers to look at. @throws when there is no answer. */
  claimBackends(request: ClaimBackendsRequest): Promise<ClaimBackendsResponse> {
    return this.#client.call(claimMethod, request, this.#now() + reportTimeoutMs);
  }

  /** Tells what a server has. @throws when it did not arrive, or was not wanted. */
  reportCatalog(request: ReportCatalogRequest): Promise<ReportCatalogResponse> {
    return this.#client.call(catalogMethod, request, this.#now() + catalogTimeoutMs);
  }

  /** Asks for other names than before, on the present stream if there is one. */
  resubscribe(changes: readonly SubscriptionChange[]): void {
    this.#client.resubscribe(changes);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#certificate?.stop();
    await this.#client.stop();
    this.#files?.stop();
  }
}

const reportTimeoutMs = 5_000;
const reportMethod = serviceDefinition(NodeHealthService)['reportHealth'] as MethodDefinition<
  ReportHealthRequest,
  ReportHealthResponse
>;

const catalogTimeoutMs = 30_000;
const { claimBackends, reportCatalog } = serviceDefinition(CatalogService);
const claimMethod = claimBackends as MethodDefinition<ClaimBackendsRequest, ClaimBackendsResponse>;
const catalogMethod = reportCatalog as MethodDefinition<ReportCatalogRequest, ReportCatalogResponse>;

/** By what the node is let in. */
interface Means {
  /** Trusted certificates, and perhaps an own one; undefined: plaintext. */
  readonly files: TlsFiles | undefined;
  /** It has a certificate of the control plane's, or will buy one. */
  readonly joins: boolean;
}

/** Where the certificate is that the node has bought. */
function identityFolder(stateFolder: string): string {
  return join(stateFolder, 'identity');
}

function certificateOf(options: ControlPlaneConnectionOptions, address: string, files: TlsFiles): NodeCertificate {
  const { settings, nodeId, stateFolder, clock } = options;
  const rootCertificates = () => files.value.ca;
  const timeoutMs = settings.discoveryConnectTimeout;
  return new NodeCertificate({
    ...options,
    folder: identityFolder(stateFolder),
    node: nodeId,
    gateway: settings.gateway,
    joinToken: settings.joinToken,
    client: new GrpcJoinClient({ address, rootCertificates, timeoutMs, now: () => clock.now() }),
    rootCertificates,
  });
}

function filesTls({ value: { ca, cert, key } }: TlsFiles): AdsClientTls {
  return { rootCertificates: ca, identity: cert && key ? { certificateChain: cert, privateKey: key } : undefined };
}

function adsClientOf(
  { settings, nodeId, handler, clock, random, logger }: ControlPlaneConnectionOptions,
  address: string,
  tls: (() => AdsClientTls) | undefined,
): AdsClient {
  return new AdsClient({
    address,
    token: settings.discoveryToken,
    ...(tls ? { tls } : {}),
    node: {
      id: nodeId,
      cluster: settings.gateway,
      userAgentName: 'signalbox-proxy',
      userAgentVersion: proxyVersion,
      metadata: {},
    },
    types: [...kinds.map((kind) => typeUrlOf(kind)), typeUrlOf('Manifest')],
    ...{ handler, clock, random, logger },
    backoff: {
      minMs: settings.discoveryBackoffMin,
      maxMs: settings.discoveryBackoffMax,
      stableAfterMs: settings.discoveryStableAfter,
    },
    limits: {
      maxResponseBytes: settings.discoveryResponse,
      connectTimeoutMs: settings.discoveryConnectTimeout,
      keepaliveIntervalMs: settings.discoveryKeepaliveInterval,
      keepaliveTimeoutMs: settings.discoveryKeepaliveTimeout,
    },
  });
}

function addressOf({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
