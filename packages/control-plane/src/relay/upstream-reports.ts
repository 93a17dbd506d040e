import { create } from '@bufbuild/protobuf';
import { ReportRequestSchema } from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';

import { reportMessage } from '../discovery/relayed-report.ts';
import type { FleetReports, ReplicaReport, ReportReceipt } from '../store/fleet-store.ts';
import type { RelayClient } from './relay-client.ts';

/** Tells the upstream what nodes run, of this relay and of the relays below it. It keeps and forgets it as it does its own. */
export class UpstreamReports implements FleetReports {
  readonly #client: Pick<RelayClient, 'report'>;

  constructor(client: Pick<RelayClient, 'report'>) {
    this.#client = client;
  }

  async report(report: ReplicaReport): Promise<ReportReceipt> {
    const { forgotten: isForgotten, nowMs } = await this.#client.report(reportMessage(report));
    return { isForgotten, nowMs };
  }

  async leave(replica: string): Promise<void> {
    await this.#client.report(create(ReportRequestSchema, { instance: replica, leaves: true }));
  }

  /** The upstream's business. */
  sweep(): Promise<void> {
    return Promise.resolve();
  }
}
