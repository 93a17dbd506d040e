import type { Backend } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import type { ProblemList } from '../problem.ts';
import { urlFault } from './url.ts';

/** What a Backend must be by itself: of one kind, with an URL that may be called. */
export function checkBackend(backend: Backend, found: ProblemList): void {
  if (backend.kind.case === undefined) found.error('missing-field', 'spec', 'needs a kind of backend: mcp');
  else found.require('spec.mcp.url', backend.kind.value.url, urlFault);
}
