import { status } from '@grpc/grpc-js';

/** Whether a call failed because the control plane does not know it: it is older than this node. */
export function isUnimplemented(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === status.UNIMPLEMENTED;
}
