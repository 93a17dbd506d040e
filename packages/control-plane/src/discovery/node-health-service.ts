import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import {
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

export interface NodeHealthServiceOptions {
  readonly admission: Pick<NodeAdmission, 'admit'>;
  readonly health: HealthCollector;
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
    const { node: id, gateway: cluster, tenants } = request;
    const claimed = { id, cluster, userAgentName: '', userAgentVersion: '', metadata: {} };
    const grant = await this.#options.admission.admit(metadata, claimed, certificate);
    if ('code' in grant) throw new CallFailure(grant.code, grant.message);
    return this.#take(grant, tenants);
  }

  #take(grant: StreamGrant, reports: readonly TenantHealth[]): ReportHealthResponse {
    const { health, intervalMs, idleMs } = this.#options;
    const seen = grant.sources ?? grant.collections;
    const mayKnow = (tenant: string) => seen === 'all' || seen.has(tenant);
    for (const report of reports) {
      if (mayKnow(report.tenant)) health.add(report.tenant, report.revision, healthOf(report));
    }
    const tenants = [...health.scopes].filter(mayKnow);
    return create(ReportHealthResponseSchema, { tenants, intervalMs: tenants.length > 0 ? intervalMs : idleMs });
  }
}

function healthOf({ requests, denials, upstreamErrors, latency }: TenantHealth): Health {
  return {
    requests: Number(requests),
    denials: Number(denials),
    upstreamErrors: Number(upstreamErrors),
    latency: latency.slice(0, latencyBuckets).map(Number),
  };
}
