import { type Federation, type MemberName, type NameKind, resolveName, unwrapUri } from '@signalbox/config';
import type { Call, CallTarget } from '../mcp/call.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { ownerAmong } from './member-names.ts';
import type { MemberState } from './member-leg.ts';

/** Where a name or URI of a call leads to: a member, nobody, or not to be told while a member does not answer. */
export type Located = CallTarget | 'nobody' | 'unknown';

/**
 * Finds the member that a call is for. At once, unless several members without prefix may have the name: then their lists
 * decide.
 */
export function locate(
  call: Call,
  subject: 'tool' | 'prompt' | 'resource',
  presented: string,
): Located | Promise<Located> {
  const route = call.route as RouteState;
  const federation = route.entry.mcp.federation as Federation;
  if (subject === 'resource') {
    const found = unwrapUri(federation, presented);
    return found ? { state: route.members[found.member.position] as MemberState, own: found.uri } : 'nobody';
  }
  const kind = subject === 'tool' ? 'tools' : 'prompts';
  const found = resolveName(federation, kind, presented);
  const [only] = found;
  if (only === undefined) return 'nobody';
  return found.length === 1 ? targetOf(route, only) : locateAmong(call, kind, found);
}

async function locateAmong(call: Call, kind: NameKind, found: readonly MemberName[]): Promise<Located> {
  const route = call.route as RouteState;
  const federation = route.entry.mcp.federation as Federation;
  const known = await Promise.all(
    found.map(async ({ member }) => {
      const names = await call.services.memberNames.of(call, route.members[member.position] as MemberState, kind);
      return [member.key, names] as const;
    }),
  );
  const names = new Map(known);
  const owner = ownerAmong(federation, found, ({ key }) => names.get(key));
  return typeof owner === 'string' ? owner : targetOf(route, owner);
}

function targetOf(route: RouteState, { member, name }: MemberName): CallTarget {
  return { state: route.members[member.position] as MemberState, own: name };
}
