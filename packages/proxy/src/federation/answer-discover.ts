import type { Federation } from '@signalbox/config';
import type { ScannedMessage } from '../json/message.ts';
import { type Call, jsonHeaders } from '../mcp/call.ts';
import { modernCodec } from '../mcp/codec/rev2026-07-28.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { spliceAscii } from '../mcp/splice.ts';
import { proxyVersion } from '../version.ts';
import { askFor } from './ask-list.ts';
import type { Asked } from './ask-member.ts';
import { type MemberGreeting, mergeCapabilities, mergeInstructions } from './merge-greetings.ts';
import type { MemberState } from './member-leg.ts';

/** Answers `server/discover` of a federation: what its members can do, put together. */
export async function answerDiscover(call: Call): Promise<void> {
  const { members, entry } = call.route as RouteState;
  const federation = entry.mcp.federation as Federation;
  const message = call.message as ScannedMessage;
  const asked = await Promise.all(
    members.map((state) =>
      askFor(call, state, call.method, (id) =>
        message.id ? spliceAscii(message.bytes, message.id, id) : message.bytes,
      ),
    ),
  );
  if (call.ended) return;
  const greetings = asked.flatMap((one, at) => greetingOf(members[at] as MemberState, one));
  if (greetings.length === 0) return refuseDiscover(call, asked);
  const instructions = mergeInstructions(federation, greetings);
  const result = {
    resultType: 'complete',
    supportedVersions: modernCodec.versions,
    capabilities: mergeCapabilities(greetings),
    ...(instructions === '' ? {} : { instructions }),
    ...{ ttlMs: Math.min(...greetings.map(({ ttlMs }) => ttlMs)), cacheScope: 'private' },
    _meta: { 'io.modelcontextprotocol/serverInfo': { name: entry.mcp.virtualServer, version: proxyVersion } },
  };
  call.respond(200, jsonHeaders, `{"jsonrpc":"2.0","id":${call.clientId},"result":${JSON.stringify(result)}}`);
}

interface Discovered extends MemberGreeting {
  readonly ttlMs: number;
}

function greetingOf({ member }: MemberState, asked: Asked): Discovered[] {
  if (asked.kind === 'failure' || !asked.message.result) return [];
  const { bytes, result } = asked.message;
  const said = JSON.parse(bytes.toString('utf8', result.start, result.end)) as Readonly<Record<string, unknown>>;
  const { capabilities, instructions, ttlMs } = said;
  return [{ member, capabilities, instructions, ttlMs: typeof ttlMs === 'number' && ttlMs >= 0 ? ttlMs : 0 }];
}

function refuseDiscover(call: Call, asked: readonly Asked[]): void {
  const failures = asked.filter((one) => one.kind === 'failure');
  call.refuse(refusals.membersMissing, { data: { members: failures.map(({ reason }) => ({ reason })) } });
}
