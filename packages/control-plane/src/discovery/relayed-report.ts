import { createHash } from 'node:crypto';

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type ReportedNode as NodeMessage,
  type ReportedRefusals as RefusalsMessage,
  type ReportedRefusalsSchema,
  type ReportRequest,
  ReportRequestSchema,
} from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';

import type { ReplicaReport, ReportedLag, ReportedNack, ReportedNode } from '../store/fleet-store.ts';

/** A report on its way up from a relay. How fast revisions were is not told: a relay does not know when they were committed. */
export function reportMessage(report: ReplicaReport): ReportRequest {
  const { replica: instance, name, number, leaseMs, isWhole: whole, isCut: cut } = report;
  return create(ReportRequestSchema, {
    ...{ instance, name, number, leaseMs: BigInt(leaseMs), whole, cut },
    nodes: report.nodes.map((node) => ({
      ...node,
      scopes: [...(node.scopes ?? [])],
      allScopes: node.scopes === null,
      fresh: node.isFresh,
      behind: Object.fromEntries(Object.entries(node.behind).map(([scope, lag]) => [scope, lagMessage(lag)])),
      ...(node.lastNack ? { lastNack: refusalsMessage(node.lastNack) } : { lastNack: undefined }),
    })),
    forgottenNodes: [...report.forgottenNodes],
    scopes: report.scopes.map(({ scope, revision }) => ({ scope, revision })),
    forgottenScopes: [...report.forgottenScopes],
  });
}

/**
 * What a relay has told, as told by a replica of its own.
 * @param relay whose word it is: it can speak for no other, for nodes of its gateway only, and of tenants that it may have.
 */
export function reportOf(request: ReportRequest, relay: ReportingRelay): ReplicaReport {
  const { instance, name, number, leaseMs, whole, cut, nodes, scopes, forgottenNodes, forgottenScopes } = request;
  return {
    ...{ replica: replicaOf(relay.tokenId, instance), name, number, leaseMs: Number(leaseMs) },
    ...{ isPartial: true, isWhole: whole, isCut: cut, forgottenNodes, forgottenScopes },
    nodes: nodes.map((node) => nodeOf(node, relay.gateway)),
    scopes: scopes
      .filter(({ scope }) => relay.covers(scope))
      .map(({ scope, revision }) => ({ scope, revision, history: [] })),
  };
}

/** A relay, by its credential. */
export interface ReportingRelay {
  readonly tokenId: string;
  readonly gateway: string;
  readonly covers: (scope: string) => boolean;
}

/** A UUID that only this credential can speak as. */
export function replicaOf(tokenId: string, instance: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([tokenId, instance]))
    .digest('hex');
  return hash.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function nodeOf(node: NodeMessage, gateway: string): ReportedNode {
  const { key, id, identity, family, userAgent, version, remoteAddress, connectedSinceMs, lastSeenMs } = node;
  const { leftAtMs, hasStopped, lastAckMs, lastNack, allScopes, scopes, fresh: isFresh } = node;
  const behind = Object.entries(node.behind).map(([scope, { sent, applied, refused }]) => {
    const lag = { sent: sent.toString(), applied: applied.toString() };
    return [scope, refused ? { ...lag, refused: nackOf(refused) } : lag] as const;
  });
  return {
    ...{ key, id, gateway, identity, family, userAgent, version, remoteAddress, connectedSinceMs, lastSeenMs, isFresh },
    connected: leftAtMs === undefined,
    ...(leftAtMs !== undefined && { leftAtMs, hasStopped }),
    ...(lastAckMs !== undefined && { lastAckMs }),
    ...(lastNack && { lastNack: nackOf(lastNack) }),
    scopes: allScopes ? null : scopes,
    behind: Object.fromEntries(behind),
  };
}

function nackOf({ atMs, scope, revision, refusals }: RefusalsMessage): ReportedNack {
  const told = refusals.map(({ type, resource, message }) => ({ type, resource, message }));
  return { atMs, scope, revision: revision.toString(), refusals: told };
}

function lagMessage({ sent, applied, refused }: ReportedLag) {
  const lag = { sent: BigInt(sent), applied: BigInt(applied) };
  return refused ? { ...lag, refused: refusalsMessage(refused) } : lag;
}

function refusalsMessage({
  revision,
  refusals,
  ...nack
}: ReportedNack): MessageInitShape<typeof ReportedRefusalsSchema> {
  return { ...nack, revision: BigInt(revision), refusals: [...refusals] };
}
