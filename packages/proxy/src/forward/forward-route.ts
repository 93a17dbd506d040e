import type { ForwardRouteEntry } from '@signalbox/config';
import { metadataPrefix } from '../mcp/route-state.ts';
import type { RequestLimits } from '../mcp/request-limits.ts';
import type { TokenVerifier, VerifiedTokens } from '../session/token-verifier.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';

/** What requests on a route of another kind than MCP need beyond its table entry, worked out once for each entry. */
export interface ForwardRoute {
  readonly entry: ForwardRouteEntry;
  /** Scheme, host and port of the backend. */
  readonly origin: string;
  /** Path of the backend's URL. */
  readonly basePath: string;
  readonly verified: VerifiedTokens;
  /** Where the route's protected-resource metadata is, below the origin; empty when no token issuer is configured. */
  readonly metadataPath: string;
  readonly timeouts: UpstreamRequest['timeouts'];
  /** Bytes of an answer; undefined for any number. */
  readonly maxBodyBytes: number | undefined;
}

/** Forward routes by table entry; they live exactly as long as the entry. */
export class ForwardRoutes {
  readonly #tokens: TokenVerifier;
  readonly #limits: RequestLimits;
  readonly #routes = new WeakMap<ForwardRouteEntry, ForwardRoute>();

  constructor(tokens: TokenVerifier, limits: RequestLimits) {
    this.#tokens = tokens;
    this.#limits = limits;
  }

  of(entry: ForwardRouteEntry): ForwardRoute {
    return this.#routes.get(entry) ?? this.#add(entry);
  }

  #add(entry: ForwardRouteEntry): ForwardRoute {
    const { origin, pathname } = new URL(entry.backend.url);
    const route = {
      ...{ entry, origin, basePath: pathname },
      verified: this.#tokens.verifiedTokens(entry.authentication),
      metadataPath: entry.authentication.jwt.size > 0 ? metadataPrefix + entry.endpoint : '',
      timeouts: timeoutsOf(entry, this.#limits),
      maxBodyBytes: entry.bounds.responseBytes ?? undefined,
    };
    this.#routes.set(entry, route);
    return route;
  }
}

/** No wait is longer. */
const dayMs = 86_400_000;

/** Agents may think for long before they answer, and gRPC has deadlines of its own; other services answer soon or stream. */
function timeoutsOf(
  { kind, forwarding, bounds }: ForwardRouteEntry,
  limits: RequestLimits,
): UpstreamRequest['timeouts'] {
  const { requestMs, backendRequestMs, idleMs } = forwarding.timeouts;
  const headMs = backendRequestMs ?? (kind === 'http' ? limits.headMs : limits.streamMs);
  return {
    connectMs: limits.connectMs,
    headMs: headMs || dayMs,
    idleMs: (idleMs ?? limits.streamMs) || dayMs,
    totalMs: Math.min((requestMs ?? limits.streamMs) || dayMs, bounds.timeoutMs ?? dayMs),
  };
}

/** Path and query at the backend: its base path takes the place of the route's. */
export function targetOf({ entry, basePath }: ForwardRoute, path: string, query: string): string {
  const rest = path.slice(entry.endpoint.length);
  const base = rest !== '' && basePath.endsWith('/') ? basePath.slice(0, -1) : basePath;
  return query === '' ? base + rest : `${base}${rest}?${query}`;
}
