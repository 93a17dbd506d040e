import { type Client, createClient, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { CatalogService } from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';
import { ConfigService } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { DumpService } from '@signalbox/proto/signalbox/admin/v1/dump_service_pb.ts';
import { NodeService } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { RolloutService } from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { TenantService } from '@signalbox/proto/signalbox/admin/v1/tenant_service_pb.ts';
import { TokenService } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';

/** The admin API with one credential. */
export interface Admin {
  readonly config: Client<typeof ConfigService>;
  readonly nodes: Client<typeof NodeService>;
  readonly rollouts: Client<typeof RolloutService>;
  readonly tenants: Client<typeof TenantService>;
  readonly tokens: Client<typeof TokenService>;
  readonly dump: Client<typeof DumpService>;
  readonly catalogs: Client<typeof CatalogService>;
}

/** How the API is spoken; Connect over HTTP/1.1 unless told otherwise. */
export type AdminProtocol = 'connect' | 'connect over HTTP/2' | 'gRPC' | 'gRPC-Web' | 'gRPC-Web over HTTP/2';

/** @param ca what an https server's certificate must be signed by. */
export function adminClient(url: string, token: string, ca?: Buffer, protocol: AdminProtocol = 'connect'): Admin {
  const authorized: Interceptor = (next) => (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };
  const options = { baseUrl: url, nodeOptions: ca ? { ca } : {}, interceptors: [authorized] };
  const transport = transports[protocol](options);
  return {
    config: createClient(ConfigService, transport),
    nodes: createClient(NodeService, transport),
    rollouts: createClient(RolloutService, transport),
    tenants: createClient(TenantService, transport),
    tokens: createClient(TokenService, transport),
    dump: createClient(DumpService, transport),
    catalogs: createClient(CatalogService, transport),
  };
}

interface TransportOptions {
  readonly baseUrl: string;
  readonly nodeOptions: { readonly ca?: Buffer };
  readonly interceptors: Interceptor[];
}

const transports: Readonly<Record<AdminProtocol, (options: TransportOptions) => Transport>> = {
  connect: (options) => createConnectTransport({ ...options, httpVersion: '1.1' }),
  'connect over HTTP/2': (options) => createConnectTransport({ ...options, httpVersion: '2' }),
  gRPC: (options) => createGrpcTransport(options),
  'gRPC-Web': (options) => createGrpcWebTransport({ ...options, httpVersion: '1.1' }),
  'gRPC-Web over HTTP/2': (options) => createGrpcWebTransport({ ...options, httpVersion: '2' }),
};
