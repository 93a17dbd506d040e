import { parseDiscoveryName } from '@signalbox/config';
import type { Refusal } from '@signalbox/xds';

/** Why a node refuses a resource. */
export interface ResourceRefusal {
  /** Kind; empty if the node does not say. */
  readonly type: string;
  readonly resource: string;
  readonly message: string;
}

/**
 * What a refusal says of each scope of the refused response. A reason that names no resource that we know concerns every
 * scope: rather refused too often than applied by mistake.
 */
export function refusalsByScope({ collections, faults }: Refusal): ReadonlyMap<string, readonly ResourceRefusal[]> {
  const byScope = new Map<string, ResourceRefusal[]>();
  const everywhere = collections.map(({ id }) => id);
  for (const { name, error } of faults) {
    const id = parseDiscoveryName(name);
    const refusal = { type: id?.kind ?? '', resource: id?.name ?? name, message: error };
    for (const scope of id ? [id.scope] : everywhere) {
      byScope.set(scope, [...(byScope.get(scope) ?? []), refusal]);
    }
  }
  return byScope;
}
