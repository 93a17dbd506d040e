import type { RouteEntry, RouteRequest } from '../table.ts';
import { ambiguous, conditionHolds, type MatchCondition } from './condition.ts';

/** A route that may match a request at its endpoint. */
export interface Candidate {
  readonly entry: RouteEntry;
  readonly condition: MatchCondition;
}

/**
 * The routes of one tenant by gateway and path: finding one costs the same however many there are. Routes of kind mcp
 * have exactly one path; the others take everything below theirs as well, and the longest path wins.
 */
export class PathIndex {
  readonly #byGateway = new Map<string, GatewayPaths>();

  /** Adds a route and gives the one that it is in conflict with, if any. */
  add(candidate: Candidate): RouteEntry | undefined {
    const { gateway, endpoint, kind } = candidate.entry;
    let paths = this.#byGateway.get(gateway);
    if (paths === undefined) this.#byGateway.set(gateway, (paths = { exact: new Map(), below: new Map(), longest: 0 }));
    const byPath = kind === 'mcp' ? paths.exact : paths.below;
    if (kind !== 'mcp') paths.longest = Math.max(paths.longest, endpoint.length);
    const present = byPath.get(endpoint);
    if (present === undefined) {
      byPath.set(endpoint, [candidate]);
      return undefined;
    }
    const rival = present.find(({ condition }) => ambiguous(condition, candidate.condition));
    present.push(candidate);
    present.sort((a, b) => b.condition.headers.length - a.condition.headers.length);
    return rival?.entry;
  }

  /** The route for a request; of several with the same path, the one with most headers. */
  find(request: RouteRequest): RouteEntry | undefined {
    const paths = this.#byGateway.get(request.gateway);
    if (paths === undefined) return undefined;
    const { path } = request;
    return first(paths.exact.get(path), request) ?? (paths.below.size === 0 ? undefined : above(paths, path, request));
  }
}

interface GatewayPaths {
  readonly exact: Map<string, Candidate[]>;
  readonly below: Map<string, Candidate[]>;
  /** Characters of the longest path in `below`: no more of a request's path need to be looked at. */
  longest: number;
}

/** From the path itself upwards, segment by segment. */
function above({ below, longest }: GatewayPaths, path: string, request: RouteRequest): RouteEntry | undefined {
  const start = path.length <= longest ? path.length : path.lastIndexOf('/', longest);
  for (let end = start; end > 0; end = path.lastIndexOf('/', end - 1)) {
    const found = first(below.get(path.slice(0, end)), request);
    if (found !== undefined) return found;
  }
  return undefined;
}

function first(candidates: readonly Candidate[] | undefined, request: RouteRequest): RouteEntry | undefined {
  return candidates?.find(({ condition }) => conditionHolds(condition, request))?.entry;
}
