import type { ClientNode } from '@signalbox/xds';

/**
 * The gateway that a node says it serves: its cluster, or, for an agentgateway, which has none, the name behind the
 * namespace in its role (`<namespace>~<gateway>`).
 */
export function claimedGateway({ cluster, metadata }: Pick<ClientNode, 'cluster' | 'metadata'>): string {
  if (cluster !== '') return cluster;
  const { role } = metadata;
  return typeof role === 'string' ? role.slice(role.indexOf('~') + 1) : '';
}
