import { memberValue } from '../../json/members.ts';
import { metaKeys, modernCodec } from '../../mcp/codec/rev2026-07-28.ts';
import type { UpstreamExchange, UpstreamHandler } from '../../upstream/upstream.ts';
import { ActingExchange } from '../acting-exchange.ts';
import { headOf, jsonType } from '../local-answer.ts';
import type { ModernRequest } from './call.ts';
import type { LegacySession, LegacySessions } from './legacy-sessions.ts';
import { claimsOf } from './to-legacy-request.ts';
import { resultMembers } from './to-modern-answer.ts';

/** Answers `server/discover` from what a legacy server says to `initialize`. */
export function discoverLegacy(
  sessions: LegacySessions,
  { request, message, caller }: ModernRequest,
  handler: UpstreamHandler,
): UpstreamExchange {
  let aborted = false;
  const opened = Promise.resolve(sessions.shared({ request, caller, claims: claimsOf(message) }));
  void opened.then((session) => {
    if (aborted) return;
    if ('code' in session) return handler.onError(session);
    const id = message.id ? message.bytes.toString('utf8', message.id.start, message.id.end) : 'null';
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":${discovered(session)}}`);
    handler.onHead(headOf(200, jsonType, body.length));
    handler.onData(body, false);
    handler.onEnd();
  });
  const nothing = () => undefined;
  return new ActingExchange({ pause: nothing, resume: nothing, detach: nothing, abort: () => void (aborted = true) });
}

function discovered({ greeting: { bytes, result } }: LegacySession): string {
  const raw = (name: string): string | undefined => {
    const span = result && memberValue(bytes, result, name);
    return span && bytes.toString('utf8', span.start, span.end);
  };
  const capabilities = JSON.parse(raw('capabilities') ?? '{}') as Record<string, unknown>;
  delete capabilities['tasks'];
  const members = [
    resultMembers('server/discover'),
    `"supportedVersions":${JSON.stringify(modernCodec.versions)}`,
    `"capabilities":${JSON.stringify(capabilities)}`,
    `"_meta":{"${metaKeys.serverInfo}":${raw('serverInfo') ?? '{"name":"unknown","version":"0"}'}}`,
  ];
  const instructions = raw('instructions');
  if (instructions !== undefined) members.push(`"instructions":${instructions}`);
  return `{${members.join(',')}}`;
}
