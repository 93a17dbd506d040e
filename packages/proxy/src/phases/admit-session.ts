import type { Call } from '../mcp/call.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import { refusals } from '../mcp/errors.ts';
import { SharedStateError } from '../nodes/shared-state.ts';
import type { SessionFacts } from '../session/sealed-session.ts';
import type { Session } from '../session/sessions.ts';
import { refuse, type Step } from './step.ts';

/**
 * Opens the legacy session that the request names. It must be this principal's, on this route and this backend: anyone
 * else's does not exist. The modern era has no sessions and ignores the header; `initialize` begins one. Only for one
 * whose facts do not fit into its id, and which this node does not remember, the shared state is asked.
 */
export function admitSession(call: Call): Step | Promise<Step> {
  if (call.era === 'modern' || call.rule?.special === 'initialize') return 'continue';
  const { head } = call.exchange;
  const id = head.header('mcp-session-id');
  if (id === undefined) return refuse(call, refusals.sessionMissing);
  const session = call.services.sessions.open(id);
  if (!(session instanceof Promise)) return admitOpened(call, session);
  return session.then(
    (loaded) => admitOpened(call, loaded),
    (error: unknown) => {
      if (!(error instanceof SharedStateError)) throw error;
      return refuse(call, refusals.sharedStateAway);
    },
  );
}

function admitOpened(call: Call, session: Session | undefined): Step {
  const { head } = call.exchange;
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
