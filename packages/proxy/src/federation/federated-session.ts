import type { FederationFacts, MemberFacts, SessionFacts } from '../session/sealed-session.ts';
import { backendDigest } from '../mcp/endpoint.ts';
import type { Services } from '../mcp/services.ts';
import { MemberSession } from './member-session.ts';
import type { MemberState } from './member-leg.ts';

/**
 * A client's session with a federation, as this node knows it: the sessions that its members keep. They are sealed into
 * the client's session id as they were when it began; one that is lost, or that another node began again, is only
 * known to the node that did.
 */
export class FederatedSession {
  readonly facts: FederationFacts;
  readonly version: string;
  /** What the client set by `logging/setLevel`, as raw JSON. */
  level: string | undefined;
  readonly #services: Services;
  /** By key of the backend. */
  readonly #members = new Map<string, MemberSession>();
  /** Keys of members that the client was told nothing of, because they did not answer. */
  readonly #missing = new Set<string>();
  readonly #onReturned = new Set<() => void>();
  #ended = false;

  constructor(services: Services, facts: SessionFacts) {
    this.#services = services;
    this.facts = facts.federation ?? noFacts;
    this.version = facts.version;
  }

  member(state: MemberState): MemberSession {
    const { key } = state.backend;
    const known = this.#members.get(key);
    if (known) {
      known.stands(state);
      return known;
    }
    const digest = backendDigest(state.backend);
    const sealed = this.facts.members.find(({ backend }) => backend === digest);
    const added = new MemberSession(this.#services, state, this, sealed);
    this.#members.set(key, added);
    return added;
  }

  /** Members whose session has begun, on this node or before. */
  begun(states: readonly MemberState[]): readonly MemberSession[] {
    return states.map((state) => this.member(state)).filter(({ begun }) => begun);
  }

  /**
   * Notes whether a member answered when something of all was asked. One that was missing and is back has changed what
   * the client has seen.
   */
  answered(state: MemberState, did: boolean): void {
    const { key } = state.member;
    if (!did) this.#missing.add(key);
    else if (this.#missing.delete(key)) for (const onReturned of this.#onReturned) onReturned();
  }

  /** Calls back when a member that was missing is back. */
  onReturned(listener: () => void): Disposable {
    this.#onReturned.add(listener);
    return { [Symbol.dispose]: () => void this.#onReturned.delete(listener) };
  }

  get ended(): boolean {
    return this.#ended;
  }

  end(): void {
    this.#ended = true;
  }
}

/** Facts of the members that have begun a session. */
export function memberFactsOf(sessions: readonly MemberSession[]): readonly MemberFacts[] {
  return sessions.flatMap(({ state, opened }) =>
    opened ? [{ backend: backendDigest(state.backend), id: opened.session, version: opened.version }] : [],
  );
}

const noFacts: FederationFacts = { capabilities: '{}', clientInfo: '{}', members: [] };
