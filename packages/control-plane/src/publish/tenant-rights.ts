import { type LabelSelector, parseLabelSelector } from '@signalbox/config';

/** Tenants that a credential may receive: some by name, others by their labels, as these are at the moment. */
export interface TenantRights {
  readonly names: ReadonlySet<string>;
  readonly selector: LabelSelector | undefined;
  /** Equal for equal rights. */
  readonly key: string;
}

/**
 * Rights as they stand in a token.
 * @param selector empty: none. One that cannot be read selects nothing.
 * @returns null for neither names nor selector: all tenants.
 */
export function tenantRights(names: readonly string[], selector: string): TenantRights | null {
  if (names.length === 0 && selector === '') return null;
  const sorted = [...new Set(names)].sort();
  const parsed = selector === '' ? undefined : parseLabelSelector(selector);
  const selects = typeof parsed === 'string' ? { text: selector, matches: () => false } : parsed;
  return { names: new Set(sorted), selector: selects, key: JSON.stringify([sorted, selector]) };
}
