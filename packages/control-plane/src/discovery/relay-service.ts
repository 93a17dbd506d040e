import { status } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type IdentifyNodeRequest,
  type IdentifyNodeResponse,
  IdentifyNodeResponseSchema,
  RelayService as RelayServiceDescription,
  type ReportRequest,
  type ReportResponse,
  ReportResponseSchema,
} from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import { operatorScope } from '@signalbox/config';
import type { Logger, Metrics } from '@signalbox/runtime';
import { CallFailure, type GrpcServer, handleUnary, type UnaryCall } from '@signalbox/xds';

import type { TenantDirectory } from '../publish/tenant-directory.ts';
import type { FleetReports } from '../store/fleet-store.ts';
import { isSubscriber, type TokenRecord } from '../store/tokens.ts';
import { type Answering, answering } from './answering.ts';
import type { NodeAdmission } from './node-admission.ts';
import type { NodeCredentials, NodeIdentity } from './node-identity.ts';
import { replicaOf, reportOf } from './relayed-report.ts';

export interface RelayServiceOptions {
  readonly admission: Pick<NodeAdmission, 'whoIs'>;
  readonly credentials: NodeCredentials;
  readonly directory: Pick<TenantDirectory, 'covers'>;
  /** Where replicas tell what their nodes run. */
  readonly reports: FleetReports;
  /** Nodes, and scopes, of one report. */
  readonly maxReportRows: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * Answers relays: who the nodes below them are; and hears from them what those run. A relay learns of credentials of its own
 * gateway only, and speaks for nodes of no other.
 */
export class RelayService {
  readonly #options: RelayServiceOptions;

  constructor(options: RelayServiceOptions) {
    this.#options = options;
  }

  addTo(server: Pick<GrpcServer, 'handle'>): void {
    const { identifyNode, report } = RelayServiceDescription.method;
    handleUnary(
      server,
      identifyNode,
      answering(this.#answering('identifyNode'), (call) => this.#identify(call)),
    );
    handleUnary(
      server,
      report,
      answering(this.#answering('report'), (call) => this.#report(call)),
    );
  }

  #answering(method: string): Answering {
    const { metrics, logger } = this.#options;
    return {
      counter: (code) => metrics.counter('signalbox_relay_requests_total', 'Questions of relays.', { method, code }),
      onFailure({ code }, _peer, cause) {
        if (code === status.INTERNAL) logger.error('a relay was not answered', { method, error: String(cause) });
      },
    };
  }

  async #identify(call: UnaryCall<IdentifyNodeRequest>): Promise<IdentifyNodeResponse> {
    const relay = await this.#relayOf(call);
    const record = await this.#recordOf(call.request);
    if (!record || !isSubscriber(record.role) || record.gateway !== relay.gateway) {
      throw new CallFailure(status.NOT_FOUND, 'no node of this gateway has such a credential');
    }
    return this.#answer(record, relay);
  }

  async #report(call: UnaryCall<ReportRequest>): Promise<ReportResponse> {
    const relay = await this.#relayOf(call);
    const { request } = call;
    const { reports, maxReportRows } = this.#options;
    if (request.leaves) {
      await reports.leave(replicaOf(relay.tokenId, request.instance));
      return create(ReportResponseSchema, {});
    }
    if (request.nodes.length > maxReportRows || request.scopes.length > maxReportRows) {
      const message = `a report has at most ${maxReportRows} nodes and scopes: lower SIGNALBOX_FLEET_ROWS of the relay`;
      throw new CallFailure(status.INVALID_ARGUMENT, message);
    }
    const { isForgotten: forgotten, nowMs } = await reports.report(
      reportOf(request, {
        ...relay,
        covers: (scope) => scope === operatorScope || this.#options.directory.covers(relay.tenants, scope),
      }),
    );
    return create(ReportResponseSchema, { forgotten, nowMs });
  }

  /** @throws CallFailure if it is none. */
  async #relayOf({ metadata, certificate }: UnaryCall<unknown>): Promise<NodeIdentity> {
    const identity = await this.#options.admission.whoIs(metadata, certificate);
    if ('code' in identity) throw new CallFailure(identity.code, identity.message);
    if (identity.isRelay) return identity;
    const message = `the credential "${identity.name}" is not a relay's: create one with "signalbox token create --role relay"`;
    throw new CallFailure(status.PERMISSION_DENIED, message);
  }

  async #recordOf({ credential }: IdentifyNodeRequest): Promise<TokenRecord | undefined> {
    const { credentials } = this.#options;
    switch (credential.case) {
      case 'token': {
        const record = await credentials.byProof(credential.value.id, Buffer.from(credential.value.hash));
        return record?.form === 'bearer' ? record : undefined;
      }
      case 'certificate':
        return credentials.byCertificate(credential.value);
      case undefined:
        throw new CallFailure(status.INVALID_ARGUMENT, 'the request names no credential');
    }
  }

  #answer(record: TokenRecord, relay: NodeIdentity): IdentifyNodeResponse {
    const { id: tokenId, name, role, gateway, family, tenants, selector, expiresAt } = record;
    return create(IdentifyNodeResponseSchema, {
      ...{ tokenId, name, gateway, family, allTenants: tenants.length === 0 && selector === '' },
      tenants: tenants.filter((tenant) => this.#options.directory.covers(relay.tenants, tenant)),
      tenantSelector: selector,
      ...(expiresAt && { expiresAt: timestampFromDate(expiresAt) }),
      relay: role === 'relay',
    });
  }
}
