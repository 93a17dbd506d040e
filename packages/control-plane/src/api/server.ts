import { Code, ConnectError, type ConnectRouter, createContextValues } from '@connectrpc/connect';
import { codeToHttpStatus, errorToJson } from '@connectrpc/connect/protocol-connect';
import { compressionGzip } from '@connectrpc/connect-node';
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import { CatalogService } from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';
import { ConfigService } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { DumpService } from '@signalbox/proto/signalbox/admin/v1/dump_service_pb.ts';
import { NodeService } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { Permission } from '@signalbox/proto/signalbox/admin/v1/permission_pb.ts';
import { RolloutService } from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { TenantService } from '@signalbox/proto/signalbox/admin/v1/tenant_service_pb.ts';
import { TokenService } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import type { Server as TlsServer } from 'node:tls';

import type { Clock, HostPort, Logger, Metrics, TlsFiles } from '@signalbox/runtime';
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';

import { authenticate, type Caller, callerKey, type Identifier } from './authenticate.ts';
import { permissionsByPath, requirePermission } from './authorize.ts';
import type { CatalogApi } from './catalog-service.ts';
import type { ConfigApi } from './config-service.ts';
import type { DumpApi } from './dump-service.ts';
import { toConnectError } from './errors.ts';
import type { NodeApi } from './node-service.ts';
import { Http2Sessions } from './http2-sessions.ts';
import { observed } from './observe.ts';
import { addRegistry, refuseRegistry, registryPath } from './registry.ts';
import { refusedAtGate } from './request-gate.ts';
import type { RolloutApi } from './rollout-service.ts';
import type { RegistryStore } from '../store/registry-store.ts';
import type { TenantApi } from './tenant-service.ts';
import type { TokenApi } from './token-service.ts';

export interface ApiServerOptions {
  readonly listen: HostPort;
  /** Absent: plaintext. */
  readonly tls?: TlsFiles | undefined;
  readonly services: {
    readonly config: ConfigApi;
    readonly tenants: TenantApi;
    readonly nodes: NodeApi;
    readonly rollouts: RolloutApi;
    readonly tokens: TokenApi;
    readonly dump: DumpApi;
    readonly catalogs: CatalogApi;
  };
  readonly registry: Pick<RegistryStore, 'servers'>;
  readonly tokens: Identifier;
  /** Why this process cannot serve yet, or no longer; undefined if it can. */
  readonly unready: () => string | undefined;
  /** Since how long the database has not answered, in milliseconds; 0 while it does. */
  readonly stalenessMs: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Largest request, decompressed, in bytes. */
  readonly bodyBytes: number;
  readonly connections: number;
  /** Longest time in which a whole request must have arrived, in milliseconds. */
  readonly requestMs: number;
}

const services = [
  ...[ConfigService, TenantService, NodeService, RolloutService, TokenService, DumpService, CatalogService],
] as const;
const headerBytes = 16 * 1024;
const headerCount = 100;
const keepAliveMs = 65_000;
const requestsPerSocket = 10_000;

/** The admin API over HTTP/1.1 and HTTP/2: Connect, gRPC, gRPC-Web, and the process's own health and metrics. */
export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #callers = new WeakMap<FastifyRequest, Caller>();
  readonly #permissions = permissionsByPath(services);
  readonly #shutdown = new AbortController();
  readonly #http: FastifyInstance;
  readonly #http2: Http2Sessions;

  /** @throws Error if an RPC declares no permission. */
  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#http = this.#build();
    const { clock, requestMs, tls } = options;
    this.#http2 = new Http2Sessions({
      ...{ clock, requestMs, headerBytes, headerCount, keepAliveMs },
      handle: (request, response) => this.#http.routing(request, response),
    });
    this.#http2.attachTo(this.#http.server, tls !== undefined);
  }

  /** @returns the base URL. */
  async start(): Promise<string> {
    const { host, port } = this.#options.listen;
    return this.#http.listen({ host, port });
  }

  /** Ends streams, finishes requests, and cuts off what still runs at the deadline. */
  async stop(deadline: AbortSignal): Promise<void> {
    const { server } = this.#http;
    const cut = () => {
      server.closeAllConnections();
      this.#http2.destroy();
    };
    deadline.addEventListener('abort', cut, { once: true });
    this.#shutdown.abort(new ConnectError('the control plane stops: ask another one', Code.Unavailable));
    this.#http2.close();
    await this.#http.close();
  }

  #build(): FastifyInstance {
    const { connections, requestMs, bodyBytes, tls } = this.#options;
    const http = fastify({
      ...serverOptions(tls),
      requestTimeout: requestMs,
      keepAliveTimeout: keepAliveMs,
      maxRequestsPerSocket: requestsPerSocket,
      forceCloseConnections: 'idle',
      bodyLimit: bodyBytes,
      routerOptions: { caseSensitive: true },
      exposeHeadRoutes: false,
    });
    http.server.headersTimeout = Math.min(10_000, requestMs);
    http.server.maxHeadersCount = headerCount;
    http.server.maxConnections = connections;
    if (tls) followFiles(http.server as unknown as TlsServer, tls);
    http.addHook('onRequest', (request, reply) => this.#admit(request, reply));
    http.setNotFoundHandler((_request, reply) =>
      sendError(reply, new ConnectError('no such method', Code.Unimplemented)),
    );
    http.setErrorHandler<FastifyError>((error, _request, reply) => this.#fail(error, reply));
    this.#addHealth(http);
    addRegistry(http, { ...this.#options, callerOf: (request) => this.#callers.get(request) });
    void http.register(fastifyConnectPlugin, {
      routes: (router) => this.#addServices(router),
      grpc: true,
      readMaxBytes: bodyBytes,
      acceptCompression: [compressionGzip],
      jsonOptions: { ignoreUnknownFields: false },
      shutdownSignal: this.#shutdown.signal,
      interceptors: [observed(this.#options)],
      contextValues: (request) => createContextValues().set(callerKey, this.#callers.get(request)),
    });
    return http;
  }

  #addServices(router: ConnectRouter): void {
    const { config, tenants, nodes, rollouts, tokens, dump, catalogs } = this.#options.services;
    router.service(ConfigService, config).service(TenantService, tenants);
    router.service(NodeService, nodes).service(RolloutService, rollouts).service(TokenService, tokens);
    router.service(DumpService, dump).service(CatalogService, catalogs);
  }

  /** Who calls, and whether he may, before a byte of the body is read. */
  async #admit(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
    const staleMs = this.#options.stalenessMs();
    if (staleMs > 0) void reply.header('signalbox-staleness-seconds', String(Math.ceil(staleMs / 1_000)));
    const refused = refusedAtGate(request.raw);
    if (refused) return reply.code(refused.status).send({ code: 'invalid_argument', message: refused.reason });
    const isRegistry = registryPath.test(request.url);
    const needed = isRegistry ? Permission.CONFIG_READ : this.#permissions.get(pathOf(request));
    if (needed === undefined) return undefined;
    try {
      const caller = await authenticate(this.#options.tokens, request.headers.authorization);
      requirePermission(caller, needed);
      this.#callers.set(request, caller);
      return undefined;
    } catch (error) {
      const failure = toConnectError(error);
      if (failure.code === Code.Internal) this.#options.logger.error('authentication failed', { error: String(error) });
      if (!isRegistry) return sendError(reply, failure);
      if (failure.code === Code.Unauthenticated) void reply.header('www-authenticate', 'Bearer');
      return refuseRegistry(reply, failure);
    }
  }

  /** What fails before it gets to a service: the framework's own refusals, or a bug. */
  #fail(error: FastifyError, reply: FastifyReply): FastifyReply {
    const { statusCode = 500 } = error;
    if (statusCode < 500) return reply.code(statusCode).send({ code: 'invalid_argument', message: error.message });
    this.#options.logger.error('request failed outside of a service', { error: String(error) });
    return sendError(reply, toConnectError(error));
  }

  #addHealth(http: FastifyInstance): void {
    http.get('/healthz', (_request, reply) => reply.type('text/plain').send('ok\n'));
    http.get('/readyz', (_request, reply) => {
      const reason = this.#options.unready();
      const staleMs = this.#options.stalenessMs();
      const ready =
        staleMs > 0 ? `ready, stale: the database has not answered for ${Math.ceil(staleMs / 1_000)} s` : 'ready';
      return reply
        .code(reason === undefined ? 200 : 503)
        .type('text/plain')
        .send(`${reason ?? ready}\n`);
    });
    http.get('/metrics', (_request, reply) =>
      reply.type('text/plain; version=0.0.4').send(this.#options.metrics.expose()),
    );
  }
}

const httpOptions = { maxHeaderSize: headerBytes, requireHostHeader: true, connectionsCheckingInterval: 1_000 };

function serverOptions(tls: TlsFiles | undefined) {
  if (!tls) return { http: httpOptions };
  const { cert, key } = tls.value;
  const secure = { minVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'], handshakeTimeout: 10_000 } as const;
  // Fastify's types tell plaintext and TLS apart; what is added to it here is the same for both.
  return { https: { ...httpOptions, ...secure, ...(cert && { cert }), ...(key && { key }) } } as unknown as {
    http: typeof httpOptions;
  };
}

/** New connections see the newest certificate. */
function followFiles(server: TlsServer, tls: TlsFiles): void {
  const renewal = tls.onChange(({ cert, key }) =>
    server.setSecureContext({ ...(cert && { cert }), ...(key && { key }) }),
  );
  server.on('close', () => renewal[Symbol.dispose]());
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

function sendError(reply: FastifyReply, error: ConnectError): FastifyReply {
  if (error.code === Code.Unauthenticated) void reply.header('www-authenticate', 'Bearer');
  if (error.code === Code.Unavailable) void reply.header('retry-after', '1');
  return reply.code(codeToHttpStatus(error.code)).type('application/json').send(errorToJson(error, undefined));
}
