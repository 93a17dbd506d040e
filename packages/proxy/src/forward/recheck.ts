import type { ForwardRouteEntry, RoutingTable } from '@signalbox/config';
import { type Credential, reaccept } from '../session/credential.ts';
import { type ForwardRefusal, forwardRefusals } from './errors.ts';
import type { ForwardCall } from './forward-call.ts';

/** Under what an open answer stands now, or why it must end. */
export type ForwardRecheck =
  | { readonly ended: undefined; readonly entry: ForwardRouteEntry; readonly credential: Credential }
  | { readonly ended: ForwardRefusal };

/**
 * Whether an answer under way may go on under another table: its path still leads to the same route and backend, its
 * credential is still accepted, and policy still allows the request. Routing is pinned, permission is not.
 */
export function recheckForwarded(
  call: ForwardCall,
  before: ForwardRouteEntry,
  credential: Credential,
  next: RoutingTable,
): ForwardRecheck {
  const { head } = call.exchange;
  const { gateway } = call.services;
  const found = next.match({ gateway, host: head.host, path: head.path, header: (name) => head.header(name) });
  if (found?.kind !== before.kind || found.tenant !== before.tenant || found.name !== before.name) {
    return { ended: forwardRefusals.routeRemoved };
  }
  if (found.digest === before.digest) return { ended: undefined, entry: found, credential };
  if (found.backend.key !== before.backend.key) return { ended: forwardRefusals.backendChanged };
  const accepted = reaccept(found.authentication, credential);
  const allowed = accepted && call.subject && call.decide(found, accepted, call.subject).allowed;
  if (!accepted || allowed !== true) return { ended: forwardRefusals.permissionWithdrawn };
  return { ended: undefined, entry: found, credential: accepted };
}
