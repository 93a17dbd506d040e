import { isMassRemoval, type RemovalLimits, type Snapshot } from '@signalbox/config';

/** What a node knows when the control plane takes whole tenants away by name. */
export interface WithdrawalInputs {
  /** Tenants of which every name was removed. */
  readonly withdrawn: readonly string[];
  /** The operator's set that is served, or about to be. */
  readonly operator: Snapshot | undefined;
  /** The control plane holds the operator's newest state: neither an older one nor none at all. */
  readonly operatorInOrder: boolean;
  /** Tenants that are served. */
  readonly served: readonly string[];
  readonly limits: RemovalLimits;
}

/**
 * Tenants among the withdrawn that are served nevertheless. A tenant that the operator's set no longer names goes. One
 * that it still names was taken from this node's credential, or the control plane has lost it: that is believed only of
 * a control plane that is otherwise in order, and only of as many tenants as may go without a confirmation.
 */
export function keptTenants(inputs: WithdrawalInputs): ReadonlySet<string> {
  const { withdrawn, operator, operatorInOrder, served, limits } = inputs;
  const servedNow = new Set(served);
  const unexplained = withdrawn.filter((name) => servedNow.has(name) && operator?.resources.has(`Tenant/${name}`));
  const suspicious = !operatorInOrder || isMassRemoval({ removed: unexplained.length, of: served.length }, limits);
  return new Set(suspicious ? unexplained : []);
}
