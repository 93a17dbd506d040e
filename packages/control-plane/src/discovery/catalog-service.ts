import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { Snapshot, StoredResource } from '@signalbox/config';
import {
  CatalogService as CatalogServiceDescription,
  type ClaimBackendsRequest,
  type ClaimBackendsResponse,
  ClaimBackendsResponseSchema,
  type ReportCatalogRequest,
  type ReportCatalogResponse,
  ReportCatalogResponseSchema,
} from '@signalbox/proto/signalbox/node/v1/catalog_service_pb.ts';
import type { Counter, Logger, Metrics } from '@signalbox/runtime';
import { CallFailure, type GrpcServer, handleUnary, type UnaryCall } from '@signalbox/xds';

import { BackendGateways } from '../catalog/backend-gateways.ts';
import { type FindingLimits, findingOf } from '../catalog/finding.ts';
import { nativeFamily } from '../projections/native.ts';
import { type CatalogStore, tally } from '../store/catalog-store.ts';
import { isMcpBackend } from '../store/mcp-backend.ts';
import { type Answering, answering } from './answering.ts';
import type { NodeAdmission } from './node-admission.ts';

export interface CatalogServiceOptions {
  readonly admission: Pick<NodeAdmission, 'admit'>;
  readonly store: Pick<CatalogStore, 'dueTenants' | 'due' | 'claim' | 'forget' | 'record'>;
  readonly published: { snapshot(scope: string): Snapshot | undefined };
  /** Nodes that this replica knows. */
  readonly nodes: () => number;
  /** Time between two questions of a node, in milliseconds; more if there are so many nodes that all together ask too often. */
  readonly askMs: number;
  /** Questions of all nodes together, a second. */
  readonly asksPerSecond: number;
  /** Servers that a node is given at a time. */
  readonly claims: number;
  readonly leaseMs: number;
  readonly limits: FindingLimits;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

interface Claimed {
  readonly tenant: string;
  readonly backend: string;
  readonly resource: StoredResource;
}

/** Servers that are looked through for some that a node may look at: pages, and servers of a page. */
const search = { pages: 5, rows: 1_000 };

/** Tells nodes which servers to look at, and hears what these have. */
export class CatalogService {
  readonly #options: CatalogServiceOptions;
  readonly #gateways = new BackendGateways();
  readonly #findings: (state: string) => Counter;
  readonly #changes: Counter;

  constructor(options: CatalogServiceOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#findings = (state) =>
      metrics.counter('signalbox_catalog_checks_total', 'Looks of nodes at MCP servers.', { state });
    this.#changes = metrics.counter('signalbox_catalog_changes_total', 'Descriptors of MCP servers that changed.');
  }

  addTo(server: Pick<GrpcServer, 'handle'>): void {
    const { claimBackends, reportCatalog } = CatalogServiceDescription.method;
    handleUnary(
      server,
      claimBackends,
      answering(this.#answering('claimBackends'), (call) => this.#claim(call)),
    );
    handleUnary(
      server,
      reportCatalog,
      answering(this.#answering('reportCatalog'), (call) => this.#report(call)),
    );
  }

  #answering(method: string): Answering {
    const { metrics, logger } = this.#options;
    const help = 'Questions and reports of nodes about catalogs.';
    return {
      counter: (code) => metrics.counter('signalbox_catalog_requests_total', help, { method, code }),
      onFailure({ code }, peer, cause) {
        if (code !== status.INTERNAL) return;
        logger.error('a node was not answered about catalogs', { method, peer, error: String(cause) });
      },
    };
  }

  async #claim(call: UnaryCall<ClaimBackendsRequest>): Promise<ClaimBackendsResponse> {
    const mayKnow = await this.#rightsOf(call);
    const { store, askMs, asksPerSecond, leaseMs, limits, nodes, claims } = this.#options;
    const wanted = await this.#searchFor(call.request, mayKnow, Math.min(claims, call.request.limit));
    const leases = wanted.length === 0 ? [] : await store.claim(wanted);
    return create(ClaimBackendsResponseSchema, {
      intervalMs: Math.max(askMs, Math.ceil((nodes() * 1_000) / asksPerSecond)),
      backends: leases.map((lease) => ({ ...lease, resource: resourceOf(lease, wanted) })),
      ...{ maxDescriptors: limits.descriptors, maxBytes: limits.bytes, leaseMs },
    });
  }

  async #searchFor(
    { gateway }: ClaimBackendsRequest,
    mayKnow: (tenant: string) => boolean,
    limit: number,
  ): Promise<Claimed[]> {
    const { store } = this.#options;
    const tenants = (await store.dueTenants()).filter(mayKnow);
    const found: Claimed[] = [];
    for (let page = 0; tenants.length > 0 && page < search.pages && found.length < limit; page += 1) {
      const due = await store.due(tenants, { limit: search.rows, offset: page * search.rows });
      for (const row of due) {
        const resource = found.length < limit ? await this.#reachable(row, gateway) : undefined;
        if (resource) found.push({ ...row, resource });
      }
      if (due.length < search.rows) break;
    }
    return found;
  }

  /** The Backend, if nodes of the gateway are the ones to look at it. */
  async #reachable(row: { readonly tenant: string; readonly backend: string }, gateway: string) {
    const { published, store } = this.#options;
    const snapshot = published.snapshot(row.tenant);
    // Not known here yet, or just deleted: the rows of its backends tell.
    const resource = snapshot?.resources.get(`Backend/${row.backend}`);
    if (!snapshot || !resource) return undefined;
    if (!isMcpBackend(resource)) {
      await store.forget(row.tenant, row.backend);
      return undefined;
    }
    const gateways = this.#gateways.of(snapshot, row.backend);
    return gateways && !gateways.has(gateway) ? undefined : resource;
  }

  async #report(call: UnaryCall<ReportCatalogRequest>): Promise<ReportCatalogResponse> {
    const mayKnow = await this.#rightsOf(call);
    const { lease, tenant, backend } = call.request;
    const { store, limits, logger } = this.#options;
    if (!mayKnow(tenant) || !uuid.test(lease)) throw new CallFailure(status.FAILED_PRECONDITION, leaseOver);
    const finding = findingOf(call.request, limits);
    const changes = await store.record({ lease, tenant, backend }, finding);
    if (!changes) throw new CallFailure(status.FAILED_PRECONDITION, leaseOver);
    this.#findings(finding.state).add();
    if (changes.length > 0) {
      this.#changes.add(changes.length);
      logger.info('the catalog of a backend changed', { tenant, backend, node: finding.node, ...tally(changes) });
    }
    return create(ReportCatalogResponseSchema, {});
  }

  /** Which tenants the caller, a node of ours, may know. @throws CallFailure if it is none. */
  async #rightsOf(call: UnaryCall<{ readonly node: string; readonly gateway: string }>) {
    const { node: id, gateway: cluster } = call.request;
    const claimed = { id, cluster, userAgentName: '', userAgentVersion: '', metadata: {} };
    const grant = await this.#options.admission.admit(call.metadata, claimed, call.certificate);
    if ('code' in grant) throw new CallFailure(grant.code, grant.message);
    if (grant.family !== nativeFamily.name) {
      throw new CallFailure(status.PERMISSION_DENIED, 'only nodes of Signalbox look at servers');
    }
    const seen = grant.sources ?? grant.collections;
    return (tenant: string) => seen === 'all' || seen.has(tenant);
  }
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const leaseOver = 'this look took too long, or another one has been asked for meanwhile: it counts for nothing';

function resourceOf(
  lease: { readonly tenant: string; readonly backend: string },
  wanted: readonly Claimed[],
): Uint8Array<ArrayBuffer> {
  const claimed = wanted.find(({ tenant, backend }) => tenant === lease.tenant && backend === lease.backend);
  return new Uint8Array(claimed?.resource.body ?? []);
}
