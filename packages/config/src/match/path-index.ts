import type { RouteEntry, RouteRequest } from '../table.ts';
import { ambiguous, conditionHolds } from './condition.ts';

/**
 * The routes of one tenant by gateway and path: finding one costs the same however many there are. Routes of kind mcp
 * have exactly one path; the others take everything below theirs as well, and the longest path wins.
 */
export class PathIndex {
  readonly #byGateway = new Map<string, GatewayPaths>();

  /** Adds a route and gives the one that it is in conflict with, if any. */
  add(route: RouteEntry): RouteEntry | undefined {
    const { gateway, endpoint, kind } = route;
    let paths = this.#byGateway.get(gateway);
    if (paths === undefined) this.#byGateway.set(gateway, (paths = { exact: new Map(), below: new Map(), longest: 0 }));
    const byPath = kind === 'mcp' ? paths.exact : paths.below;
    if (kind !== 'mcp') paths.longest = Math.max(paths.longest, endpoint.length);
    const present = byPath.get(endpoint);
    if (present === undefined) {
      byPath.set(endpoint, route);
      return undefined;
    }
    const rivals = isList(present) ? present : [present];
    const rival = rivals.find(({ condition }) => ambiguous(condition, route.condition));
    const together = [...rivals, route].sort((a, b) => b.condition.headers.length - a.condition.headers.length);
    byPath.set(endpoint, together);
    return rival;
  }

  /** The route for a request; of several with the same path, the one with most headers. */
  find(request: RouteRequest): RouteEntry | undefined {
    const paths = this.#byGateway.get(request.gateway);
    if (paths === undefined) return undefined;
    const { path } = request;
    return first(paths.exact.get(path), request) ?? (paths.below.size === 0 ? undefined : above(paths, path, request));
  }
}

/** The routes of one path: most paths have one. */
type Candidates = RouteEntry | readonly RouteEntry[];

interface GatewayPaths {
  readonly exact: Map<string, Candidates>;
  readonly below: Map<string, Candidates>;
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

function first(candidates: Candidates | undefined, request: RouteRequest): RouteEntry | undefined {
  if (candidates === undefined) return undefined;
  if (isList(candidates)) return candidates.find(({ condition }) => conditionHolds(condition, request));
  return conditionHolds(candidates.condition, request) ? candidates : undefined;
}

function isList(candidates: Candidates): candidates is readonly RouteEntry[] {
  return Array.isArray(candidates);
}
