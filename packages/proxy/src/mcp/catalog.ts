import { type Principal, type McpRouteEntry, visibleTools } from '@signalbox/config';
import type { Era } from './codec/codec.ts';

/** Whose view of a route's tools is asked for. */
export interface Viewer {
  readonly principal: Principal;
  readonly era: Era;
  readonly version: string;
  readonly host: string;
  readonly session: string;
  readonly nowMs: number;
}

/**
 * Names of the tools that were seen in lists, by backend: after a swap they tell whose view has changed. Bounded: the
 * backend that was seen first gives way, and names beyond the bound are not kept.
 */
export class Catalog {
  readonly #maxBackends: number;
  readonly #maxTools: number;
  readonly #tools = new Map<string, Set<string>>();

  constructor(maxBackends: number, maxTools: number) {
    this.#maxBackends = maxBackends;
    this.#maxTools = maxTools;
  }

  /** @param names of one page of a list; later pages add to it. */
  saw(backendKey: string, names: readonly string[]): void {
    const known = this.#tools.get(backendKey) ?? this.#add(backendKey);
    for (const name of names) if (known.size < this.#maxTools) known.add(name);
  }

  /** Whether the viewer sees other tools on `next` than on `previous`. Without a known list: whether the rules differ. */
  viewChanged(previous: McpRouteEntry, next: McpRouteEntry, before: Viewer, after: Viewer): boolean {
    if (previous.mcp.federation !== null || next.mcp.federation !== null) return previous.digest !== next.digest;
    if (samePrincipal(before.principal, after.principal) && previous.authorization.digest === next.authorization.digest)
      return false;
    const known = this.#tools.get(next.mcp.member.backend.key);
    if (!known) return true;
    const names = [...known];
    const seen = visible(previous, before, names);
    const sees = visible(next, after, names);
    return seen.some((shown, i) => shown !== sees[i]);
  }

  #add(backendKey: string): Set<string> {
    const oldest = this.#tools.keys().next();
    if (this.#tools.size >= this.#maxBackends && !oldest.done) this.#tools.delete(oldest.value);
    const added = new Set<string>();
    this.#tools.set(backendKey, added);
    return added;
  }
}

/** Whether rules see no difference between two principals. */
function samePrincipal(a: Principal, b: Principal): boolean {
  const sameGroups = a.groups.length === b.groups.length && a.groups.every((group, i) => group === b.groups[i]);
  return sameGroups && a.id === b.id && a.claims === b.claims;
}

function visible(route: McpRouteEntry, viewer: Viewer, names: readonly string[]): boolean[] {
  const { principal, era, version, host, session, nowMs } = viewer;
  const input = {
    ...{ principal, tenant: route.tenant, backend: route.mcp.member.backend.name, session, nowMs },
    ...{ mcp: { method: 'tools/list', era, version }, request: { host, path: route.endpoint } },
  };
  return visibleTools(route.authorization, input, names);
}
