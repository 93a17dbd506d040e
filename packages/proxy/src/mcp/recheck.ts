import type { McpRouteEntry, McpSubject, RoutingTable } from '@signalbox/config';
import { reaccept } from '../session/credential.ts';
import { revisionIn } from '../table/revision.ts';
import { decideFor, type Standing, subjectOf } from './authorization.ts';
import type { Call } from './call.ts';
import type { Viewer } from './catalog.ts';
import { type Refusal, refusals } from './errors.ts';

/** What another table means for an open stream. */
export type Recheck =
  | { readonly kind: 'unchanged' }
  /** It goes on, under what it stands on now. */
  | { readonly kind: 'allowed'; readonly standing: Standing; readonly viewChanged: boolean }
  | { readonly kind: 'ended'; readonly refusal: Refusal; readonly revision: number };

const unchanged: Recheck = { kind: 'unchanged' };

/**
 * Whether an open stream may go on under `next`: its path still leads to the same route and backend, its credential is
 * still accepted, and policy still allows what it is about. Routing is pinned, permission is not.
 *
 * @param watched what the stream is about beside the subject of its request.
 */
export function recheck(call: Call, standing: Standing, next: RoutingTable, watched: readonly McpSubject[]): Recheck {
  const { gateway, routes, catalog } = call.services;
  const { head } = call.exchange;
  const before = standing.route.entry;
  const found = next.match({ gateway, host: head.host, path: head.path, header: (name) => head.header(name) });
  if (found === before) return unchanged;
  const revision = revisionIn(next, before.tenant) || revisionIn(call.admission?.table, before.tenant);
  if (found?.kind !== 'mcp' || found.tenant !== before.tenant || found.name !== before.name) {
    return { kind: 'ended', refusal: refusals.routeRemoved, revision };
  }
  const route = routes.of(found);
  if (found.digest === before.digest) {
    return { kind: 'allowed', standing: { ...standing, route }, viewChanged: false };
  }
  if (leadsElsewhere(call, before, found)) {
    return { kind: 'ended', refusal: refusals.backendChanged, revision };
  }
  if (isQuarantined(call, found)) return { kind: 'ended', refusal: refusals.quarantined, revision };
  const credential = reaccept(found.authentication, standing.credential);
  if (!credential) return { kind: 'ended', refusal: refusals.credentialWithdrawn, revision };
  const after: Standing = { route, credential };
  if (!stillAllowed(call, after, watched)) return { kind: 'ended', refusal: refusals.permissionWithdrawn, revision };
  const viewChanged = catalog.viewChanged(before, found, viewerOf(call, standing), viewerOf(call, after));
  return { kind: 'allowed', standing: after, viewChanged };
}

/** Whether what the stream is about is behind another backend now. A federation goes on as such whatever its members. */
function leadsElsewhere(call: Call, { mcp: before }: McpRouteEntry, { mcp: after }: McpRouteEntry): boolean {
  if (before.sessionKey !== after.sessionKey) return true;
  const member = call.target?.state.member;
  return member !== undefined && after.federation?.byKey.get(member.key)?.backend.key !== member.backend.key;
}

/** Whether what the stream is about is in quarantine now. */
function isQuarantined(call: Call, { authorization, mcp }: McpRouteEntry): boolean {
  const key = call.target?.state.member.key;
  const of = key === undefined ? authorization : mcp.federation?.byKey.get(key)?.authorization;
  return of?.quarantine !== undefined;
}

function stillAllowed(call: Call, standing: Standing, watched: readonly McpSubject[]): boolean {
  if (call.rule && call.rule.subject !== 'none') {
    const subject = subjectOf(call, standing);
    if (!subject || !decideFor(call, standing, subject).allowed) return false;
  }
  return watched.every((subject) => decideFor(call, standing, subject).allowed);
}

function viewerOf(call: Call, standing: Standing): Viewer {
  return {
    principal: standing.credential.principal,
    era: call.era === 'modern' ? 'modern' : 'legacy',
    version: call.version,
    host: call.exchange.head.host,
    session: call.sessionName,
    nowMs: call.services.clock.now(),
  };
}
