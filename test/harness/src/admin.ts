import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { ConfigService } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
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
}

/** @param ca what an https server's certificate must be signed by. */
export function adminClient(url: string, token: string, ca?: Buffer): Admin {
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: '1.1',
    nodeOptions: ca ? { ca } : {},
    interceptors: [
      (next) => (request) => {
        request.header.set('authorization', `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return {
    config: createClient(ConfigService, transport),
    nodes: createClient(NodeService, transport),
    rollouts: createClient(RolloutService, transport),
    tenants: createClient(TenantService, transport),
    tokens: createClient(TokenService, transport),
  };
}
