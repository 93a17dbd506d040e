import type { RouteEntry } from '@signalbox/config';
import { BackendPolicySpec_BackendTLS_VerificationMode as Verification } from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import {
  MCPBackend_FailureMode as FailureMode,
  MCPBackend_PrefixMode as PrefixMode,
  MCPBackend_StatefulMode as StatefulMode,
  MCPTarget_Protocol,
} from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { keyed } from './names.ts';
import type { Enforcement } from './rules.ts';
import { type Upstream, upstreamOf } from './upstream.ts';

/** The server that a route leads to, and the MCP server there with what the route's rules allow. */
export function backendResources(entry: RouteEntry, enforcement: Enforcement): readonly PlainResource[] {
  const upstream = upstreamOf(entry);
  return [serverResource(entry, upstream), mcpResource(entry, upstream, enforcement)];
}

function serverResource({ tenant }: RouteEntry, { serverKey, host, port, tls }: Upstream): PlainResource {
  const verified = { verification: Verification.STRICT, hostname: host };
  const value = {
    ...{ key: serverKey, name: { namespace: tenant, name: serverKey } },
    kind: { case: 'static' as const, value: { host, port } },
    inlinePolicies: tls ? [{ kind: { case: 'backendTls' as const, value: verified } }] : [],
  };
  return keyed(serverKey, { case: 'backend', value });
}

function mcpResource(
  { tenant, mcp }: RouteEntry,
  { serverKey, mcpKey, path }: Upstream,
  { allow }: Enforcement,
): PlainResource {
  const target = {
    ...{ name: mcp.member.backend.name, path, protocol: MCPTarget_Protocol.STREAMABLE_HTTP },
    backend: { kind: { case: 'backend' as const, value: serverKey } },
  };
  const server = {
    targets: [target],
    statefulMode: StatefulMode.STATEFUL,
    prefixMode: PrefixMode.NEVER,
    failureMode: FailureMode.FAIL_CLOSED,
  };
  const value = {
    ...{ key: mcpKey, name: { namespace: tenant, name: mcpKey } },
    kind: { case: 'mcp' as const, value: server },
    inlinePolicies: [{ kind: { case: 'mcpAuthorization' as const, value: { allow: [...allow] } } }],
  };
  return keyed(mcpKey, { case: 'backend', value });
}
