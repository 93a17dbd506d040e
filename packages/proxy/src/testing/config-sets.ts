import { create, toBinary } from '@bufbuild/protobuf';
import {
  digestOf,
  discoveryName,
  encodeResource,
  kinds,
  makeSnapshot,
  operatorScope,
  type Snapshot,
  type StoredResource,
  typeUrlOf,
} from '@signalbox/config';
import { AuthorizationRule_Effect } from '@signalbox/proto/signalbox/config/v1/authorization_pb.ts';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { GatewaySchema } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { PolicySchema } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { RouteSchema } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import { VirtualServerSchema } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import type { ReceivedResource, ResourceUpdate } from '@signalbox/xds';

/** The operator's set: one gateway with one listener, and the named tenants. */
export function operatorSet(
  revision: bigint,
  tenants: readonly string[],
  port = 8080,
  labelsOf: (tenant: string) => Record<string, string> = () => ({}),
): Snapshot {
  const gateway = create(GatewaySchema, { listeners: [{ name: 'http', port }] });
  return makeSnapshot(operatorScope, revision, [
    encodeResource('Gateway', 'default', gateway),
    ...tenants.map((tenant) => encodeResource('Tenant', tenant, create(TenantSchema, { labels: labelsOf(tenant) }))),
  ]);
}

export interface TenantSetOptions {
  /** Names of the routes; each leads to `http://127.0.0.1:<upstreamPort>/mcp`. */
  readonly routes: readonly string[];
  readonly upstreamPort?: number;
  /** Virtual server that the routes lead to; `missing` is one that the set does not have. */
  readonly virtualServer?: 'assistant' | 'missing';
}

/** A tenant's set: a backend, a virtual server, a policy that lets everyone in, and routes. */
export function tenantSet(tenant: string, revision: bigint, options: TenantSetOptions): Snapshot {
  return makeSnapshot(tenant, revision, tenantResources(tenant, options));
}

function tenantResources(tenant: string, options: TenantSetOptions): StoredResource[] {
  const { routes, upstreamPort = 3001, virtualServer = 'assistant' } = options;
  const url = `http://127.0.0.1:${upstreamPort}/mcp`;
  return [
    encodeResource('Backend', 'weather', create(BackendSchema, { kind: { case: 'mcp', value: { url } } })),
    encodeResource('VirtualServer', 'assistant', create(VirtualServerSchema, { members: [{ backend: 'weather' }] })),
    encodeResource(
      'Policy',
      'open',
      create(PolicySchema, {
        target: { kind: { case: 'tenant', value: {} } },
        authentication: { anonymous: { subject: 'anyone' } },
        authorization: [{ name: 'all', effect: AuthorizationRule_Effect.ALLOW, when: 'true' }],
      }),
    ),
    ...routes.map((name) =>
      encodeResource(
        'Route',
        name,
        create(RouteSchema, {
          gateway: 'default',
          match: { path: `/${tenant}/${name}` },
          destination: { case: 'mcp', value: { virtualServer } },
        }),
      ),
    ),
  ];
}

/** A set as the discovery stream carries it: one update for each kind that changed, then the Manifest. */
export function roundOf(before: Snapshot | undefined, after: Snapshot): readonly ResourceUpdate[] {
  return [...dataOf(before, after), manifestsOf([after])];
}

/** What changed between two sets of a scope, kind by kind. */
export function dataOf(before: Snapshot | undefined, after: Snapshot): readonly ResourceUpdate[] {
  const { scope } = after;
  return kinds.flatMap((kind) => {
    const changed = [...after.resources.values()].filter(
      (resource) =>
        resource.kind === kind && before?.resources.get(`${kind}/${resource.name}`)?.digest !== resource.digest,
    );
    const gone = [...(before?.resources.values() ?? [])].filter(
      (resource) => resource.kind === kind && !after.resources.has(`${kind}/${resource.name}`),
    );
    if (changed.length === 0 && gone.length === 0) return [];
    const typeUrl = typeUrlOf(kind);
    return {
      typeUrl,
      resources: changed.map(({ name, body, digest }) => ({
        name: discoveryName({ kind, scope, name }),
        version: digest,
        typeUrl,
        body,
      })),
      removed: gone.map(({ name }) => discoveryName({ kind, scope, name })),
    };
  });
}

/** The Manifests of some sets in one response, of which removals up to a revision are meant. */
export function manifestsOf(
  sets: readonly Snapshot[],
  removed: readonly string[] = [],
  removalsConfirmed = 0n,
): ResourceUpdate {
  return {
    typeUrl: typeUrlOf('Manifest'),
    resources: sets.map((set) => manifestOf(set, removalsConfirmed)),
    removed: removed.map(manifestName),
  };
}

export function manifestName(scope: string): string {
  return discoveryName({ kind: 'Manifest', scope, name: 'current' });
}

function manifestOf({ scope, revision, hash, resources }: Snapshot, removalsConfirmed: bigint): ReceivedResource {
  const message = create(ManifestSchema, { scope, revision, hash, resourceCount: resources.size, removalsConfirmed });
  const body = toBinary(ManifestSchema, message);
  return { name: manifestName(scope), version: digestOf(body), typeUrl: typeUrlOf('Manifest'), body };
}
