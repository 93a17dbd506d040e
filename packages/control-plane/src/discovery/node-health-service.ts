import { create } from '@bufbuild/protobuf';
import { type sendUnaryData, type Server, type ServerUnaryCall, status } from '@grpc/grpc-js';
import {
  type ReportHealthRequest,
  type ReportHealthResponse,
  ReportHealthResponseSchema,
  NodeHealthService as NodeHealthServiceDescription,
  type TenantHealth,
} from '@signalbox/proto/signalbox/node/v1/node_health_service_pb.ts';
import type { Logger, Metrics } from '@signalbox/runtime';
import { serviceDefinition, type StreamGrant } from '@signalbox/xds';

import { type Health, latencyBuckets } from '../rollout/health.ts';
import type { HealthCollector } from '../rollout/health-collector.ts';
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

  addTo(server: Server): void {
    server.addService(serviceDefinition(NodeHealthServiceDescription), {
      reportHealth: (
        call: ServerUnaryCall<ReportHealthRequest, ReportHealthResponse>,
        done: sendUnaryData<ReportHealthResponse>,
      ) => void this.#answer(call, done),
    });
  }

  async #answer(
    call: ServerUnaryCall<ReportHealthRequest, ReportHealthResponse>,
    done: sendUnaryData<ReportHealthResponse>,
  ): Promise<void> {
    const { metrics, logger } = this.#options;
    const count = (code: string) =>
      metrics.counter('signalbox_node_reports_total', 'Reports of nodes of how they do.', { code }).add();
    try {
      const { node: id, gateway: cluster, tenants } = call.request;
      const certificate = call.getAuthContext().sslPeerCertificate?.raw;
      const claimed = { id, cluster, userAgentName: '', userAgentVersion: '', metadata: {} };
      const grant = await this.#options.admission.admit(call.metadata, claimed, certificate);
      if ('code' in grant) {
        count(status[grant.code] ?? '');
        return done({ code: grant.code as number, details: grant.message });
      }
      count('OK');
      done(null, this.#take(grant, tenants));
    } catch (error) {
      count('INTERNAL');
      logger.warn('the report of a node could not be taken', { peer: call.getPeer(), error: String(error) });
      done({ code: status.UNAVAILABLE, details: 'the report could not be taken: try again' });
    }
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
