import { fromBinary } from '@bufbuild/protobuf';
import type { StoredResource } from '@signalbox/config';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';

/** Whether a Backend is an MCP server. What cannot be read is none. */
export function isMcpBackend({ body }: StoredResource): boolean {
  try {
    return fromBinary(BackendSchema, body).kind.case === 'mcp';
  } catch {
    return false;
  }
}
