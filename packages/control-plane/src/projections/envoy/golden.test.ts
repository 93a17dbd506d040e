import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRegistry, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '@signalbox/proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '@signalbox/proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '@signalbox/proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '@signalbox/proto/envoy/config/route/v3/route_pb.ts';
import * as jwtAuthn from '@signalbox/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { McpOverrideSchema, McpSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp/v3/mcp_pb.ts';
import { RBACPerRouteSchema, RBACSchema } from '@signalbox/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { RouterSchema } from '@signalbox/proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpConnectionManagerSchema } from '@signalbox/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { UpstreamTlsContextSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { envoyPlane } from './plane.ts';
import { readTables, summarize } from '../golden-tables.ts';
import { envoyFamily } from './family.ts';
import { projectEnvoy } from './project.ts';

// Every testdata/<sentence>.in.yaml is compiled and projected; <sentence>.out.yaml is what Envoys of its gateways get.
// UPDATE_GOLDEN=1 rewrites the expectations; read the difference before committing it.
const folder = new URL('testdata/', import.meta.url);
const inputs = readdirSync(folder).filter((file) => file.endsWith('.in.yaml'));

const schemas = [ClusterSchema, ClusterLoadAssignmentSchema, ListenerSchema, RouteConfigurationSchema];
const registry = createRegistry(
  ...schemas,
  ...[jwtAuthn.JwtAuthenticationSchema, jwtAuthn.PerRouteConfigSchema, McpSchema, McpOverrideSchema],
  ...[RBACSchema, RBACPerRouteSchema, RouterSchema, HttpConnectionManagerSchema, UpstreamTlsContextSchema],
);

describe('the projection for Envoy', () => {
  it.each(inputs.map((file) => [file.slice(0, -'.in.yaml'.length).replaceAll('-', ' '), file]))('%s', (_name, file) => {
    const output = new URL(file.replace('.in.yaml', '.out.yaml'), folder);
    const tables = readTables(readFileSync(new URL(file, folder), 'utf8'));
    const text = summarize(envoyPlane, tables, (gateway) =>
      projectEnvoy(gateway, tables.operator, tables.tenants).map(describeResource),
    );
    // oxlint-disable-next-line no-restricted-properties
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(output, text);
    expect(text).toBe(readFileSync(output, 'utf8'));
  });

  it('gives equal bytes in whatever order tenants and resources come', () => {
    const file = new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder);
    const { operator, tenants } = readTables(readFileSync(file, 'utf8'));
    const reversed = readTables(readFileSync(file, 'utf8'), true);
    const bytes = (resources: readonly PlainResource[]) =>
      resources.map(({ typeUrl, name, version, body }) => [typeUrl, name, version, Buffer.from(body).toString('hex')]);
    const once = projectEnvoy('edge', operator, tenants);
    expect(once.length).toBeGreaterThan(3);
    expect(bytes(projectEnvoy('edge', reversed.operator, reversed.tenants.toReversed()))).toEqual(bytes(once));
  });

  it('sends its resources in the order of the family', () => {
    const { operator, tenants } = readTables(
      readFileSync(new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder), 'utf8'),
    );
    const order = envoyFamily.types.map(({ typeUrl }) => typeUrl);
    const sent = projectEnvoy('edge', operator, tenants).map(({ typeUrl }) => order.indexOf(typeUrl));
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(new Set(sent)).toEqual(new Set(order.keys()));
  });

  it('is empty for a gateway that no Envoy serves', () => {
    const { operator, tenants } = readTables(
      readFileSync(new URL('routes-of-two-tenants-share-a-listener.in.yaml', folder), 'utf8'),
    );
    expect(projectEnvoy('elsewhere', operator, tenants)).toEqual([]);
  });
});

function describeResource({ typeUrl, body }: PlainResource): JsonValue {
  const schema = schemas.find(({ typeName }) => typeUrl.endsWith(`/${typeName}`));
  if (!schema) throw new Error(`unknown type ${typeUrl}`);
  return { [schema.name]: toJson(schema, fromBinary(schema, body), { registry }) };
}
