import { Client, credentials, type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { Backoff, type BackoffOptions, type Clock, type Logger, type Random, type Secret } from '@signalbox/runtime';
import type { ClientHandler, ResourceFault, ResourceUpdate } from './client-handler.ts';
import { type ClientEvent, newClientSession, stepClient } from './client-session.ts';
import type { ClientNode } from './node.ts';
import { deltaMethod } from './service-definition.ts';

export interface AdsClientOptions {
  /** `host:port` of the server. */
  readonly address: string;
  /** Bearer token, sent when a stream opens. */
  readonly token: Secret;
  /** Absent: plaintext. */
  readonly tls?: AdsClientTls;
  readonly node: ClientNode;
  /** Type URLs to subscribe to with a wildcard, in the order in which they are requested. */
  readonly types: readonly string[];
  readonly handler: ClientHandler;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Delays between streams. */
  readonly backoff: BackoffOptions;
  readonly limits: AdsClientLimits;
}

export interface AdsClientTls {
  /** PEM; absent: the system's. */
  readonly rootCertificates?: Buffer;
  /** Name to expect in the server's certificate, if it is not the address's host. */
  readonly serverName?: string;
}

export interface AdsClientLimits {
  /** A larger response ends the stream. */
  readonly maxResponseBytes: number;
  /** How long a connection may take to be made and accepted. */
  readonly connectTimeoutMs: number;
  /** Time between pings that find a half-open connection. */
  readonly keepaliveIntervalMs: number;
  /** How long an answer to a ping may take. */
  readonly keepaliveTimeoutMs: number;
}

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** How a stream ended. */
interface End {
  /** It was accepted and has delivered something: its end is not a failure. */
  readonly answered: boolean;
  readonly code: status;
  readonly detail: string;
}

/**
 * Keeps one delta stream to the server open, for as long as it runs: connects, hands every response to the handler,
 * acknowledges or refuses it, and reconnects when the stream ends, whatever the reason.
 */
export class AdsClient {
  readonly #options: AdsClientOptions;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: AdsClientOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.backoff, options.clock, options.random);
  }

  /** Dials in the background. Call once. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the stream. Resolves when the handler is no longer called. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the client was stopped'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, handler, logger, address } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      handler.onConnection('connecting', address);
      const end = await this.#stream();
      handler.onConnection('disconnected', end.detail);
      if (signal.aborted) return;
      const delayMs = this.#backoff.nextDelayMs();
      const fields = { address, code: status[end.code], detail: end.detail, delayMs: Math.round(delayMs) };
      if (end.answered) logger.info('discovery stream ended, reconnecting', fields);
      else logger.warn('discovery stream failed, retrying', fields);
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  /** One connection with one stream, from dialing to its end. */
  async #stream(): Promise<End> {
    const client = this.#dial();
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${this.#options.token.reveal()}`);
    const call = client.makeBidiStreamRequest(
      deltaMethod.path,
      deltaMethod.requestSerialize,
      deltaMethod.responseDeserialize,
      metadata,
    );
    const cancel = () => call.cancel();
    this.#stopping.signal.addEventListener('abort', cancel, { once: true });
    try {
      return await this.#serve(call);
    } finally {
      this.#stopping.signal.removeEventListener('abort', cancel);
      client.close();
    }
  }

  #dial(): Client {
    const { address, tls, limits } = this.#options;
    const channelCredentials = tls ? credentials.createSsl(tls.rootCertificates ?? null) : credentials.createInsecure();
    return new Client(address, channelCredentials, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.enable_channelz': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.keepalive_time_ms': limits.keepaliveIntervalMs,
      'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
      'grpc.max_receive_message_length': limits.maxResponseBytes,
      ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
    });
  }

  /** Drives the session of a stream until the stream has ended and the handler has returned. */
  async #serve(call: Stream): Promise<End> {
    const { clock, handler, limits, node, types } = this.#options;
    let session = newClientSession(types);
    let handling: Promise<void> = Promise.resolve();
    let connected = false;
    let answered = false;
    let ended = false;
    let abortReason: string | undefined;

    const abort = (reason: string) => {
      abortReason ??= reason;
      call.cancel();
    };
    const apply = (event: ClientEvent) => {
      if (ended || abortReason !== undefined) return;
      const step = stepClient(session, event);
      session = step.session;
      for (const effect of step.effects) {
        if (effect.kind === 'send') call.write(effect.request);
        else if (effect.kind === 'abort') abort(effect.reason);
        else handling = this.#handle(effect.update).then((faults) => apply({ kind: 'handled', faults }));
      }
    };
    const accepted = () => {
      if (connected) return;
      connected = true;
      connectTimer[Symbol.dispose]();
      handler.onConnection('connected', call.getPeer());
    };
    using connectTimer = clock.timer(limits.connectTimeoutMs, () =>
      abort(`no answer within ${limits.connectTimeoutMs} ms`),
    );

    call.on('metadata', accepted);
    call.on('data', (response: DeltaDiscoveryResponse) => {
      accepted();
      if (!answered) this.#backoff.succeeded();
      answered = true;
      apply({ kind: 'response', response });
    });
    const end = endOf(call);
    apply({ kind: 'opened', node, held: (typeUrl) => handler.heldVersions(typeUrl) });
    const { code, details } = await end;
    ended = true;
    await handling;
    return { answered, code, detail: abortReason ?? (details || 'the server ended the stream') };
  }

  /** The handler's answer. A handler that throws refuses the whole response: it is a bug, and it must be seen. */
  async #handle(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    try {
      return await this.#options.handler.onResponse(update);
    } catch (error) {
      this.#options.logger.error('discovery response could not be handled', {
        typeUrl: update.typeUrl,
        error: String(error),
      });
      return [{ name: '', error: `the node failed to handle the response: ${String(error)}` }];
    }
  }
}

/** Resolves when the stream has ended, never rejects. */
function endOf(call: Stream): Promise<{ code: status; details: string }> {
  return new Promise((resolve) => {
    call.on('status', resolve);
    // The status says the same; without a listener Node would throw.
    call.on('error', (_error: ServiceError) => undefined);
  });
}
