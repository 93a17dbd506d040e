import type { JsonObject } from '@bufbuild/protobuf';
import type { ScopeDocuments } from './resource-files.ts';

/** The part that requests to apply and to diff have in common. */
export function resourcesOf({ scope, documents }: ScopeDocuments) {
  const resources = documents.map(({ kind, tenant, name, spec }) => ({ kind, tenant, name, spec: spec as JsonObject }));
  return { scope, resources };
}
