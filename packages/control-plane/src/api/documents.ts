import { type Change, documentOf, operatorScope, type StoredResource } from '@signalbox/config';
import { Change_Operation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';

const operations = {
  create: Change_Operation.CREATE,
  update: Change_Operation.UPDATE,
  delete: Change_Operation.DELETE,
} as const;

/** A change as the API states it: the `spec` before and after. */
export function changeMessage(scope: string, change: Change) {
  return {
    operation: operations[change.op],
    kind: change.kind,
    name: change.name,
    ...(change.op !== 'create' && { before: documentOf(scope, change.before).spec }),
    ...(change.op !== 'delete' && { after: documentOf(scope, change.after).spec }),
  };
}

/** A resource as the API states it. */
export function resourceMessage(scope: string, resource: StoredResource, revision: bigint) {
  const document = documentOf(scope, resource);
  return {
    document: { ...document, tenant: scope === operatorScope ? '' : scope },
    revision,
    digest: resource.digest,
  };
}
