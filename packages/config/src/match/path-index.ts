import type { RouteEntry, RouteRequest } from '../table.ts';
import { ambiguous, conditionHolds, type MatchCondition } from './condition.ts';

/** A route that may match a request at its endpoint. */
export interface Candidate {
  readonly entry: RouteEntry;
  readonly condition: MatchCondition;
}

/** The routes of one tenant by gateway and endpoint: finding one costs the same however many there are. */
export class PathIndex {
  readonly #byGateway = new Map<string, Map<string, Candidate[]>>();

  /** Adds a route and gives the one that it is in conflict with, if any. */
  add(candidate: Candidate): RouteEntry | undefined {
    const { gateway, endpoint } = candidate.entry;
    let byEndpoint = this.#byGateway.get(gateway);
    if (byEndpoint === undefined) this.#byGateway.set(gateway, (byEndpoint = new Map()));
    const present = byEndpoint.get(endpoint);
    if (present === undefined) {
      byEndpoint.set(endpoint, [candidate]);
      return undefined;
    }
    const rival = present.find(({ condition }) => ambiguous(condition, candidate.condition));
    present.push(candidate);
    present.sort((a, b) => b.condition.headers.length - a.condition.headers.length);
    return rival?.entry;
  }

  /** The route for a request; of several that match, the one with most headers. */
  find(request: RouteRequest): RouteEntry | undefined {
    const candidates = this.#byGateway.get(request.gateway)?.get(request.path);
    return candidates?.find(({ condition }) => conditionHolds(condition, request))?.entry;
  }
}
