import type { NodePropagation, NodeRegistry } from './node-registry.ts';

/** How far one revision of one scope has come. */
export interface Propagation {
  readonly scope: string;
  readonly revision: bigint;
  /** Nodes of the scope: all that are connected, and those that left while this was watched. By id. */
  readonly nodes: readonly NodePropagation[];
  /** Every connected node runs the revision, or a newer one, or has refused it. */
  readonly done: boolean;
}

/**
 * Follows a revision to the nodes: yields where it stands now, then whenever a node's state has changed, and ends after
 * it has yielded `done` or when the signal aborts. A slow reader sees only the newest state. A node that connects
 * meanwhile joins in; one that leaves is listed, and not waited for.
 */
export async function* watchPropagation(
  registry: Pick<NodeRegistry, 'propagation' | 'publishes' | 'onChange'>,
  { scope, revision, signal }: { readonly scope: string; readonly revision: bigint; readonly signal: AbortSignal },
): AsyncGenerator<Propagation> {
  const watched = new Map<string, NodePropagation>();
  let shown: string | undefined;
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  using _listening = registry.onChange(wake);
  signal.addEventListener('abort', wake, { once: true });
  try {
    while (!signal.aborted) {
      changed = Promise.withResolvers<void>();
      const nodes = follow(watched, registry.propagation(scope, revision));
      const done = registry.publishes(scope, revision) && nodes.every(hasAnswered);
      const state = stateOf(nodes, done);
      if (state !== shown) yield { scope, revision, nodes, done };
      if (done) return;
      shown = state;
      await changed.promise;
    }
  } finally {
    signal.removeEventListener('abort', wake);
  }
}

/** Takes over the present states. The first moment at which a node runs the revision is kept: newer ones will follow. */
function follow(
  watched: Map<string, NodePropagation>,
  present: readonly NodePropagation[],
): readonly NodePropagation[] {
  for (const now of present) {
    const before = watched.get(now.node);
    if (now.state === 'disconnected' && !before) continue;
    const isStillApplied = before?.state === 'applied' && now.state === 'applied';
    watched.set(now.node, isStillApplied ? { ...now, appliedAtMs: before.appliedAtMs } : now);
  }
  return [...watched.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}

function hasAnswered({ state }: NodePropagation): boolean {
  return state === 'applied' || state === 'refused' || state === 'disconnected';
}

function stateOf(nodes: readonly NodePropagation[], done: boolean): string {
  return JSON.stringify([
    done,
    ...nodes.map(({ node, state, applied, refusals }) => [node, state, `${applied}`, refusals]),
  ]);
}
