import type { LimitEntry, RouteEntry } from '@signalbox/config';

/** Limits of calls in a minute: those that other data planes have. */
export function ratesOf({ limits }: Pick<RouteEntry, 'limits'>): readonly LimitEntry[] {
  return limits.filter(({ callsPerMinute }) => callsPerMinute > 0);
}

/** What no other data plane enforces of a route's limits: it denies the route then. @param plane its name. */
export function unboundable(route: RouteEntry, plane: string): readonly string[] {
  const members = (route.kind === 'mcp' && route.mcp.federation?.members) || [];
  const all = [route, ...members];
  return [
    ...all.flatMap(({ limits }) =>
      limits
        .filter(({ concurrent }) => concurrent > 0)
        .map(({ id }) => `${plane} cannot bound calls under way as ${id} asks`),
    ),
    ...all.flatMap(({ bounds }) =>
      bounds.responseBytes === null ? [] : [`${plane} cannot bound answers as ${bounds.ids.join(', ')} asks`],
    ),
  ];
}

/** Milliseconds that a request may take by its route and by policies; 0 for no limit, undefined where nothing is said. */
export function requestTimeoutMs({
  forwarding,
  bounds,
}: Pick<RouteEntry, 'forwarding' | 'bounds'>): number | undefined {
  const { requestMs } = forwarding.timeouts;
  const { timeoutMs } = bounds;
  if (timeoutMs === null) return requestMs ?? undefined;
  return Math.min(requestMs || timeoutMs, timeoutMs);
}

/** What is different about the time of messages on MCP routes: other data planes do not tell streams from them. */
export function streamTimeoutProblems(route: RouteEntry, plane: string): readonly string[] {
  if (route.kind !== 'mcp' || !requestTimeoutMs(route)) return [];
  return [`${plane} ends streams that clients keep open to listen by the timeout of messages, too`];
}
