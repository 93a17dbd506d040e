import type { VirtualServer } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import type { ProblemList } from '../problem.ts';
import { nameFault } from './name.ts';

/** What a VirtualServer must be by itself: exactly one member. */
export function checkVirtualServer(virtualServer: VirtualServer, found: ProblemList): void {
  const [member, ...more] = virtualServer.members;
  if (member === undefined) {
    found.error('missing-field', 'spec.members', 'needs one member');
  } else if (more.length > 0) {
    found.error('limit-exceeded', 'spec.members', `has ${more.length + 1} members; exactly one is supported`);
  } else {
    found.require('spec.members[0].backend', member.backend, nameFault);
  }
}
