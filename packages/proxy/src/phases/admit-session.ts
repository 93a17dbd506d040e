import type { Call } from '../mcp/call.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import { refusals } from '../mcp/errors.ts';
import type { SessionFacts } from '../session/sealed-session.ts';
import { refuse, type Step } from './step.ts';

/**
 * Opens the legacy session that the request names. It must be this principal's, on this route and this backend: anyone
 * else's does not exist. The modern era has no sessions and ignores the header; `initialize` begins one.
 */
export function admitSession(call: Call): Step {
  if (call.era === 'modern' || call.rule?.special === 'initialize') return 'continue';
  const { head } = call.exchange;
  const id = head.header('mcp-session-id');
  if (id === undefined) return refuse(call, refusals.sessionMissing);
  const session = call.services.sessions.open(id);
  if (!session || !belongsHere(call, session.facts)) return refuse(call, refusals.sessionUnknown);
  call.session = session;
  call.sessionName = session.facts.name;
  call.version = session.facts.version;
  const version = head.header('mcp-protocol-version');
  if (version === undefined || version === session.facts.version) return 'continue';
  const known = legacyCodec.versions.includes(version);
  const message = known
    ? `The session speaks ${session.facts.version}, not ${version}`
    : 'Unsupported protocol version';
  return refuse(call, refusals.unsupportedLegacyVersion, { message, data: { supported: legacyCodec.versions } });
}

function belongsHere(call: Call, facts: SessionFacts): boolean {
  const { route, credential } = call;
  const entry = route?.entry;
  return (
    facts.principal === credential?.principal.id &&
    facts.tenant === entry?.tenant &&
    facts.route === entry.name &&
    facts.backend === entry.mcp.sessionKey
  );
}
