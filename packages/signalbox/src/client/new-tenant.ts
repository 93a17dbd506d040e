import type { JsonObject } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { Change_Operation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { ScopeDocuments } from '../input/resource-files.ts';

/**
 * The control plane cannot try what goes into a tenant that is itself still to be made. If the files bring the tenant,
 * everything in it is new: that is the answer, in place of the error.
 */
export function withNewTenants(sets: readonly ScopeDocuments[]) {
  const brought = new Set(
    sets.flatMap(({ documents }) => documents.filter(({ kind }) => kind === 'Tenant').map(({ name }) => name)),
  );
  return (set: ScopeDocuments, error: unknown) => {
    if (ConnectError.from(error).code !== Code.NotFound || !brought.has(set.scope)) throw error;
    const changes = set.documents.map(({ kind, name, spec }) => {
      return { operation: Change_Operation.CREATE, kind, name, after: spec as JsonObject };
    });
    return { changes, revision: 0n };
  };
}
