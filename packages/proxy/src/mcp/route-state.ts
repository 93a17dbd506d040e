import type { HeaderChanges, McpRouteEntry } from '@signalbox/config';
import { type Endpoint, endpointOf, type UsualTimeouts } from './endpoint.ts';
import type { MemberState } from '../federation/member-leg.ts';
import type { TokenVerifier, VerifiedTokens } from '../session/token-verifier.ts';

/** What requests on a route need beyond its table entry, worked out once for each entry. */
export interface RouteState extends Endpoint {
  readonly entry: McpRouteEntry;
  /** Of a federation, in the order of its members. */
  readonly members: readonly MemberState[];
  /** Credentials that were verified a moment ago. */
  readonly verified: VerifiedTokens;
  /** Where the route's protected-resource metadata is, below the origin; empty when no token issuer is configured. */
  readonly metadataPath: string;
  /** What is changed in the headers of answers. */
  readonly answerHeaders: HeaderChanges | null;
}

/** What a path that serves protected-resource metadata starts with (RFC 9728); the endpoint follows. */
export const metadataPrefix = '/.well-known/oauth-protected-resource';

/** Route states by table entry; they live exactly as long as the entry. */
export class RouteStates {
  readonly #tokens: TokenVerifier;
  readonly #usual: UsualTimeouts;
  readonly #states = new WeakMap<McpRouteEntry, RouteState>();

  constructor(tokens: TokenVerifier, usual: UsualTimeouts) {
    this.#tokens = tokens;
    this.#usual = usual;
  }

  of(entry: McpRouteEntry): RouteState {
    return this.#states.get(entry) ?? this.#add(entry);
  }

  #add(entry: McpRouteEntry): RouteState {
    const { member: first, federation } = entry.mcp;
    const { forwarding, bounds } = entry;
    const state = {
      ...{ entry, answerHeaders: forwarding.responseHeaders },
      ...endpointOf(first.backend, forwarding, this.#usual, [bounds]),
      members: (federation?.members ?? []).map((member) => ({
        member,
        ...endpointOf(member.backend, forwarding, this.#usual, [bounds, member.bounds]),
      })),
      verified: this.#tokens.verifiedTokens(entry.authentication),
      metadataPath: entry.authentication.jwt.size > 0 ? metadataPrefix + entry.endpoint : '',
    };
    this.#states.set(entry, state);
    return state;
  }
}
