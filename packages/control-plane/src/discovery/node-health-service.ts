import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import {
  type MemberHealth,
  MemberHealth_Condition,
  type ReportHealthRequest,
  type ReportHealthResponse,
  ReportHealthResponseSchema,
  NodeHealthService as NodeHealthServiceDescription,
  type TenantHealth,
} from '@signalbox/proto/signalbox/node/v1/node_health_service_pb.ts';
import type { Logger, Metrics } from '@signalbox/runtime';
import { CallFailure, type GrpcServer, handleUnary, type StreamGrant, type UnaryCall } from '@signalbox/xds';

import { type Health, latencyBuckets } from '../rollout/health.ts';
import type { HealthCollector } from '../rollout/health-collector.ts';
import { type Answering, answering } from './answering.ts';
import type { NodeAdmission } from './node-admission.ts';
import type { NodeMember } from './node-directory.ts';
import type { NodeRegistry } from './node-registry.ts';

export interface NodeHealthServiceOptions {
  readonly admission: Pick<NodeAdmission, 'admit'>;
  readonly health: HealthCollector;
  readonly registry: Pick<NodeRegistry, 'reported'>;
  /** When a node is to report again while something is rolled out that it may know, and otherwise, in milliseconds. */
  readonly intervalMs: number;
  readonly idleMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Hears from nodes how they do. What a node says of tenants that are not its own counts for nothing. */
export class NodeHealthService {
  readonly #options: NodeHealthServiceOptions;

  constructor(options: NodeHealthServiceOptions) {
    this.#options = options;
  }

  addTo(server: Pick<GrpcServer, 'handle'>): void {
    const { metrics, logger } = this.#options;
    const counting: Answering = {
      counter: (code) => metrics.counter('signalbox_node_reports_total', 'Reports of nodes of how they do.', { code }),
      onFailure({ code }, peer, cause) {
        if (code !== status.INTERNAL) return;
        logger.warn('the report of a node could not be taken', { peer, error: String(cause) });
      },
    };
    handleUnary(
      server,
      NodeHealthServiceDescription.method.reportHealth,
      answering(counting, (call) => this.#hear(call)),
    );
  }

  async #hear({ request, metadata, certificate }: UnaryCall<ReportHealthRequest>): Promise<ReportHealthResponse> {
    const { node: id, gateway: cluster } = request;
    const claimed = { id, cluster, userAgentName: '', userAgentVersion: '', metadata: {} };
    const grant = await this.#options.admission.admit(metadata, claimed, certificate);
    if ('code' in grant) throw new CallFailure(grant.code, grant.message);
    return this.#take(grant, request);
  }

  #take(grant: StreamGrant, { node, tenants: reports, members, membersLeftOut }: ReportHealthRequest) {
    const { health, registry, intervalMs, idleMs } = this.#options;
    const seen = grant.sources ?? grant.collections;
    const mayKnow = (tenant: string) => seen === 'all' || seen.has(tenant);
    for (const report of reports) {
      if (mayKnow(report.tenant)) health.add(report.tenant, report.revision, healthOf(report));
    }
    const known = members.slice(0, maxMembers).filter(({ tenant }) => mayKnow(tenant));
    registry.reported(grant.identity, node, {
      members: known.map(memberOf),
      leftOut: membersLeftOut + members.length - known.length,
    });
    const tenants = [...health.scopes].filter(mayKnow);
    return create(ReportHealthResponseSchema, { tenants, intervalMs: tenants.length > 0 ? intervalMs : idleMs });
  }
}

/** More of them a node is not believed to have to tell. */
const maxMembers = 1_000;

function memberOf({ tenant, backend, condition, failures, since }: MemberHealth): NodeMember {
  return {
    ...{ tenant, backend, failures, condition: conditions[condition] ?? '' },
    sinceMs: since ? timestampMs(since) : 0,
  };
}

const conditions: Readonly<Record<MemberHealth_Condition, string>> = {
  [MemberHealth_Condition.CONDITION_UNSPECIFIED]: '',
  [MemberHealth_Condition.REACHABLE]: 'reachable',
  [MemberHealth_Condition.DEGRADED]: 'degraded',
  [MemberHealth_Condition.OPEN]: 'open',
  [MemberHealth_Condition.NEEDS_AUTH]: 'needs-auth',
  [MemberHealth_Condition.QUARANTINED]: 'quarantined',
};

function healthOf({ requests, denials, upstreamErrors, latency }: TenantHealth): Health {
  return {
    requests: Number(requests),
    denials: Number(denials),
    upstreamErrors: Number(upstreamErrors),
    latency: latency.slice(0, latencyBuckets).map(Number),
  };
}
