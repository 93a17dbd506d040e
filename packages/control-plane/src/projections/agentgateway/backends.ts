import { create } from '@bufbuild/protobuf';
import { type Duration, DurationSchema } from '@bufbuild/protobuf/wkt';
import type { BackendEntry, McpRouteEntry, RouteEntry } from '@signalbox/config';
import {
  type BackendPolicySpec,
  BackendPolicySpec_BackendHTTP_HttpVersion as HttpVersion,
  BackendPolicySpec_BackendTLS_VerificationMode as Verification,
  BackendPolicySpecSchema,
} from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import {
  MCPBackend_FailureMode as FailureMode,
  MCPBackend_PrefixMode as PrefixMode,
  MCPBackend_StatefulMode as StatefulMode,
  MCPTarget_Protocol,
} from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { keyed } from './names.ts';
import type { Enforcement } from './rules.ts';
import { backendOf, mcpKey, type Upstream, upstreamOf } from './upstream.ts';

/** The server of a backend: its address, and how it is spoken to. */
export function serverResource(route: RouteEntry): PlainResource {
  const upstream = upstreamOf(backendOf(route));
  const { backend, host, port } = upstream;
  const value = {
    ...{ key: backend.key, name: { namespace: backend.tenant, name: backend.key } },
    kind: { case: 'static' as const, value: { host, port } },
    inlinePolicies: [...connectionPolicies(upstream), ...kindPolicies(backend)],
  };
  return keyed(backend.key, { case: 'backend', value });
}

/** The MCP server of a route, with what its rules allow. */
export function mcpResource(route: McpRouteEntry, { allow }: Enforcement): PlainResource {
  const { backend, path } = upstreamOf(backendOf(route));
  const target = {
    ...{ name: backend.name, path, protocol: MCPTarget_Protocol.STREAMABLE_HTTP },
    backend: { kind: { case: 'backend' as const, value: backend.key } },
  };
  const server = {
    targets: [target],
    statefulMode: StatefulMode.STATEFUL,
    prefixMode: PrefixMode.NEVER,
    failureMode: FailureMode.FAIL_CLOSED,
  };
  const key = mcpKey(route);
  const value = {
    ...{ key, name: { namespace: route.tenant, name: key } },
    kind: { case: 'mcp' as const, value: server },
    inlinePolicies: [{ kind: { case: 'mcpAuthorization' as const, value: { allow: [...allow] } } }],
  };
  return keyed(key, { case: 'backend', value });
}

function kindPolicies({ kind, http }: BackendEntry): readonly BackendPolicySpec[] {
  const http2 = { case: 'backendHttp' as const, value: { version: HttpVersion.HTTP2 } };
  return [
    ...(kind === 'a2a' ? [create(BackendPolicySpecSchema, { kind: { case: 'a2a', value: {} } })] : []),
    ...(http === 'http2' ? [create(BackendPolicySpecSchema, { kind: http2 })] : []),
  ];
}

function connectionPolicies({ backend, host, tls: isTls }: Upstream): readonly BackendPolicySpec[] {
  const { tls, connection } = backend;
  const policies: BackendPolicySpec[] = [];
  if (isTls) {
    const roots = tls?.caCertificates ?? '';
    const value = {
      verification: tls?.verify === false ? Verification.INSECURE_ALL : Verification.STRICT,
      hostname: tls?.hostname || host,
      ...(roots === '' ? {} : { root: Buffer.from(roots) }),
    };
    policies.push(create(BackendPolicySpecSchema, { kind: { case: 'backendTls', value } }));
  }
  if (connection.connectMs !== null) {
    const value = { connectTimeout: milliseconds(connection.connectMs) };
    policies.push(create(BackendPolicySpecSchema, { kind: { case: 'backendTcp', value } }));
  }
  return policies;
}

export function milliseconds(count: number): Duration {
  return create(DurationSchema, { seconds: BigInt(Math.floor(count / 1_000)), nanos: Math.floor(count % 1_000) * 1e6 });
}
