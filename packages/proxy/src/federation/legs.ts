import type { Call } from '../mcp/call.ts';
import type { Services } from '../mcp/services.ts';
import type { Session } from '../session/sessions.ts';
import { FederatedSession } from './federated-session.ts';
import type { MemberLeg, MemberState } from './member-leg.ts';
import { ModernLeg } from './modern-leg.ts';

/** How a member is spoken to for a call: as its client speaks. The bridge stands before a member of the other era. */
export function legFor(call: Call, state: MemberState): MemberLeg {
  if (call.era === 'modern') {
    const principal = call.credential?.principal.id ?? '';
    return new ModernLeg(call.services, state, { version: call.version, principal });
  }
  return federatedSession(call).member(state);
}

/** The session of a legacy call with the members. */
export function federatedSession(call: Call): FederatedSession {
  return federatedOf(call.services, call.session as Session);
}

/** A session with the members. */
export function federatedOf(services: Services, session: Session): FederatedSession {
  return services.federatedSessions.of(services, session);
}

/** What this node knows of sessions with federations; it lives as long as the session is remembered. */
export class FederatedSessions {
  readonly #sessions = new WeakMap<Session, FederatedSession>();

  of(services: Services, session: Session): FederatedSession {
    return this.#sessions.get(session) ?? this.adopt(session, new FederatedSession(services, session.facts));
  }

  /** Another node has ended the session, at its members as well. */
  endedElsewhere(session: Session): void {
    this.#sessions.get(session)?.end();
  }

  adopt(session: Session, federated: FederatedSession): FederatedSession {
    this.#sessions.set(session, federated);
    return federated;
  }
}
