import { createRegistry, type DescMessage, type JsonValue, type Message, toJson } from '@bufbuild/protobuf';
import { type Client, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import {
  CatalogService,
  file_signalbox_admin_v1_catalog_service,
} from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';
import {
  ConfigService,
  file_signalbox_admin_v1_config_service,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import {
  DumpService,
  file_signalbox_admin_v1_dump_service,
} from '@signalbox/proto/signalbox/admin/v1/dump_service_pb.ts';
import {
  file_signalbox_admin_v1_node_service,
  NodeService,
} from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import {
  file_signalbox_admin_v1_rollout_service,
  RolloutService,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import {
  file_signalbox_admin_v1_tenant_service,
  TenantService,
} from '@signalbox/proto/signalbox/admin/v1/tenant_service_pb.ts';
import {
  file_signalbox_admin_v1_token_service,
  TokenService,
} from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import type { Clock } from '@signalbox/runtime';
import type { Cli } from '../cli.ts';
import { findTarget, type Target } from './target.ts';

/** The admin API, as Connect JSON over HTTP. */
export interface AdminClient {
  readonly target: Target;
  readonly config: Client<typeof ConfigService>;
  readonly nodes: Client<typeof NodeService>;
  readonly rollouts: Client<typeof RolloutService>;
  readonly tenants: Client<typeof TenantService>;
  readonly tokens: Client<typeof TokenService>;
  readonly dump: Client<typeof DumpService>;
  readonly catalogs: Client<typeof CatalogService>;
}

/** Longest wait for an answer, in milliseconds; streams have none, their caller ends them. */
const callTimeoutMs = 30_000;

/** A client of the control plane that the environment or `.signalbox/` names. */
export async function adminClient(cli: Cli): Promise<AdminClient> {
  return adminClientFor(await findTarget(cli), cli.clock);
}

export function adminClientFor(target: Target, clock: Clock): AdminClient {
  const transport = createConnectTransport({
    baseUrl: target.url,
    httpVersion: '1.1',
    useBinaryFormat: false,
    nodeOptions: target.ca ? { ca: target.ca } : {},
    interceptors: [deadline(clock), ...(target.token ? [bearer(target.token.reveal())] : [])],
  });
  return {
    target,
    config: createClient(ConfigService, transport),
    nodes: createClient(NodeService, transport),
    rollouts: createClient(RolloutService, transport),
    tenants: createClient(TenantService, transport),
    tokens: createClient(TokenService, transport),
    dump: createClient(DumpService, transport),
    catalogs: createClient(CatalogService, transport),
  };
}

const bearer =
  (token: string): Interceptor =>
  (next) =>
  (request) => {
    request.header.set('authorization', `Bearer ${token}`);
    return next(request);
  };

const deadline =
  (clock: Clock): Interceptor =>
  (next) =>
  async (request) => {
    if (request.stream) return next(request);
    const late = new AbortController();
    using _timer = clock.timer(callTimeoutMs, () => late.abort(new DOMException('no answer in time', 'TimeoutError')));
    return await next({ ...request, signal: AbortSignal.any([request.signal, late.signal]) });
  };

const registry = createRegistry(
  file_signalbox_admin_v1_catalog_service,
  file_signalbox_admin_v1_config_service,
  file_signalbox_admin_v1_dump_service,
  file_signalbox_admin_v1_node_service,
  file_signalbox_admin_v1_rollout_service,
  file_signalbox_admin_v1_tenant_service,
  file_signalbox_admin_v1_token_service,
);

/** A message of the admin API as its JSON form, fields with default values included. */
export function plain(message: Message): JsonValue {
  const schema: DescMessage | undefined = registry.getMessage(message.$typeName);
  if (!schema) throw new Error(`${message.$typeName} is no message of the admin API`);
  return toJson(schema, message, { alwaysEmitImplicit: true });
}
