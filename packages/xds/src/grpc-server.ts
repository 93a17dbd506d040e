import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Clock, TlsFiles, TlsMaterial } from '@signalbox/runtime';

import { callStatus, GrpcCall } from './grpc-call.ts';
import { GrpcConnection, type GrpcConnectionLimits } from './grpc-connection.ts';

export interface GrpcServerOptions {
  readonly limits: GrpcConnectionLimits;
  readonly clock: Clock;
  /**
   * Absent: plaintext. Clients may show a certificate that one of the trusted has signed, or none: who a client is, and
   * whether it has to show one, is judged by call.
   */
  readonly tls?: TlsFiles | undefined;
}

export type CallHandler = (call: GrpcCall) => void;

/** Connections that may wait to be taken: a fleet comes back at one moment. */
const backlog = 4_096;
/** Of all headers of a call. */
const maxHeaderBytes = 16 * 1024;
const maxHeaders = 100;
/** What is queued on one connection is bounded by its calls: one response each is under way. */
const maxSessionMemoryMb = 1_024;
/** Looks at all connections within one interval of pings: so pings are spread however the connections were made. */
const looksPerInterval = 20;

/**
 * A gRPC server on node:http2, for streams that live long and are many: no interceptors, no compression, no message
 * objects in between. Reasons and figures: docs/rfd/0021-discovery-on-node-http2.md.
 */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #handlers = new Map<string, CallHandler>();
  readonly #connections = new Map<ServerHttp2Session, GrpcConnection>();
  readonly #server: Http2Server | Http2SecureServer;
  readonly #timers = new DisposableStack();
  #onEmpty: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    const { limits, tls, clock } = options;
    this.#server = tls ? secureServer(tls, limits, this.#timers) : createServer(serverOptions(limits));
    this.#server.on('session', (session) => this.#connected(session));
    this.#server.on('stream', (stream, headers) => this.#called(stream, headers));
    // A connection that fails ends; there is nobody else to tell.
    this.#server.on('sessionError', () => undefined);
    this.#server.on('error', () => undefined);
    const everyMs = Math.max(1, Math.min(limits.keepaliveIntervalMs / looksPerInterval, limits.keepaliveTimeoutMs / 4));
    this.#timers.use(clock.interval(everyMs, () => this.#look()));
  }

  /** @param path `/<package>.<Service>/<Method>`. A call of another path is answered UNIMPLEMENTED. */
  handle(path: string, handler: CallHandler): void {
    this.#handlers.set(path, handler);
  }

  /** @returns the port. @throws when the address cannot be used. */
  listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, host, backlog }, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  /** Takes no more connections and calls, and resolves when those that run are over. */
  async close(): Promise<void> {
    this.#timers.dispose();
    if (this.#server.listening) this.#server.close();
    for (const connection of this.#connections.values()) connection.close();
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
  }

  /** Cuts what is left. */
  destroy(): void {
    this.#timers.dispose();
    if (this.#server.listening) this.#server.close();
    for (const connection of this.#connections.values()) connection.destroy();
  }

  #connected(session: ServerHttp2Session): void {
    const { limits, clock } = this.#options;
    this.#connections.set(session, new GrpcConnection(session, limits, clock.monotonic()));
    session.on('error', () => undefined);
    session.on('close', () => {
      this.#connections.delete(session);
      if (this.#connections.size === 0) this.#onEmpty?.();
    });
  }

  #called(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const connection = stream.session && this.#connections.get(stream.session as ServerHttp2Session);
    if (!connection) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    connection.heard();
    const refused = refusedBefore(headers);
    if (refused !== undefined) {
      stream.on('error', () => undefined);
      return stream.respond({ [constants.HTTP2_HEADER_STATUS]: refused }, { endStream: true });
    }
    const call = new GrpcCall(connection, stream, headers);
    const handler = this.#handlers.get(call.path);
    if (handler) handler(call);
    else call.end({ code: callStatus.unimplemented, message: `there is no method ${call.path}` });
  }

  /** Finds connections whose other end is gone, and those that are too old. */
  #look(): void {
    const now = this.#options.clock.monotonic();
    let pings = Math.ceil((this.#connections.size * 2) / looksPerInterval);
    for (const connection of this.#connections.values()) if (connection.look(now, pings > 0)) pings -= 1;
  }
}

/** What is no gRPC at all gets a status of HTTP. */
function refusedBefore(headers: IncomingHttpHeaders): number | undefined {
  const contentType = String(headers[constants.HTTP2_HEADER_CONTENT_TYPE]);
  if (headers[constants.HTTP2_HEADER_METHOD] !== 'POST') return constants.HTTP_STATUS_METHOD_NOT_ALLOWED;
  if (!contentType.startsWith('application/grpc')) return constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE;
  return undefined;
}

function serverOptions({ maxStreamsPerConnection }: GrpcConnectionLimits): ServerOptions {
  return {
    settings: {
      enablePush: false,
      maxConcurrentStreams: maxStreamsPerConnection,
      maxHeaderListSize: maxHeaderBytes,
    },
    maxHeaderListPairs: maxHeaders,
    maxSessionMemory: maxSessionMemoryMb,
  };
}

/** New connections see the newest certificates. */
function secureServer(tls: TlsFiles, limits: GrpcConnectionLimits, timers: DisposableStack): Http2SecureServer {
  const server = createSecureServer({
    ...serverOptions(limits),
    ...contextOf(tls.value),
    ...{ requestCert: tls.value.ca !== undefined, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
  });
  timers.use(tls.onChange((material) => server.setSecureContext(contextOf(material))));
  // An error of a connection of which nothing has come yet.
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  return server;
}

function contextOf({ ca, cert, key }: TlsMaterial) {
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}
