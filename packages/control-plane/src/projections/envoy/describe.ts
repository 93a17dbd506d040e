import { createRegistry, fromBinary, type JsonObject, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '@signalbox/proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '@signalbox/proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '@signalbox/proto/envoy/config/listener/v3/listener_pb.ts';
import { FilterConfigSchema } from '@signalbox/proto/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '@signalbox/proto/envoy/config/route/v3/route_pb.ts';
import * as jwtAuthn from '@signalbox/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import {
  HeaderMutationPerRouteSchema,
  HeaderMutationSchema,
} from '@signalbox/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import * as composite from '@signalbox/proto/envoy/extensions/filters/http/composite/v3/composite_pb.ts';
import { McpRouterSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp_router/v3/mcp_router_pb.ts';
import { LocalRateLimitSchema } from '@signalbox/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts';
import { McpOverrideSchema, McpSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp/v3/mcp_pb.ts';
import { RBACPerRouteSchema, RBACSchema } from '@signalbox/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { RouterSchema } from '@signalbox/proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpConnectionManagerSchema } from '@signalbox/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { SecretSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { UpstreamTlsContextSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '@signalbox/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { ProjectedResource } from '../projection.ts';

const schemas = [ClusterSchema, ClusterLoadAssignmentSchema, SecretSchema, ListenerSchema, RouteConfigurationSchema];
const registry = createRegistry(
  ...schemas,
  ...[jwtAuthn.JwtAuthenticationSchema, jwtAuthn.PerRouteConfigSchema, McpSchema, McpOverrideSchema],
  ...[
    composite.CompositeSchema,
    composite.CompositePerRouteSchema,
    composite.ExecuteFilterActionSchema,
    McpRouterSchema,
  ],
  ...[HeaderMutationSchema, HeaderMutationPerRouteSchema],
  ...[FilterConfigSchema, LocalRateLimitSchema, HttpProtocolOptionsSchema],
  ...[RBACSchema, RBACPerRouteSchema, RouterSchema, HttpConnectionManagerSchema, UpstreamTlsContextSchema],
);

/** A resource of Envoy as an object, with its name of a type in front. */
export function describeEnvoy({ typeUrl, body }: Pick<ProjectedResource, 'typeUrl' | 'body'>): JsonObject {
  const schema = schemas.find(({ typeName }) => typeUrl.endsWith(`/${typeName}`));
  if (!schema) throw new Error(`unknown type ${typeUrl}`);
  return { [schema.name]: toJson(schema, fromBinary(schema, body), { registry }) };
}
