import type { DescMessage } from '@bufbuild/protobuf';
import { type Backend, BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { type Gateway, GatewaySchema } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { type Policy, PolicySchema } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { type Route, RouteSchema } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { type Tenant, TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import { type VirtualServer, VirtualServerSchema } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import type { Kind } from './kind.ts';

/** The message of each kind. */
export interface MessageOf {
  readonly Gateway: Gateway;
  readonly Tenant: Tenant;
  readonly Backend: Backend;
  readonly VirtualServer: VirtualServer;
  readonly Route: Route;
  readonly Policy: Policy;
}

/** The descriptor of each kind's message. */
export const schemaOf: { readonly [K in Kind]: DescMessage } = {
  Gateway: GatewaySchema,
  Tenant: TenantSchema,
  Backend: BackendSchema,
  VirtualServer: VirtualServerSchema,
  Route: RouteSchema,
  Policy: PolicySchema,
};
