import { type Problem, ProblemList } from '../problem.ts';
import type { Snapshot } from '../snapshot.ts';

/** Bounds on one scope's set. A node may be stricter than the control plane: it then refuses the whole set. */
export interface TableLimits {
  /** Resources in the set. */
  readonly resources: number;
  /** Bytes of all resources together. */
  readonly bytes: number;
  /** Routes in the set. */
  readonly routes: number;
  /** Authorization rules that apply to one route, of all policies together. */
  readonly rulesPerRoute: number;
}

export const defaultTableLimits: TableLimits = Object.freeze({
  resources: 50_000,
  bytes: 64 * 1024 * 1024,
  routes: 20_000,
  rulesPerRoute: 1_000,
});

/** Errors about the size of a set, checked before anything in it is decoded. */
export function sizeProblems(snapshot: Snapshot, limits: TableLimits): Problem[] {
  const found = new ProblemList({ kind: '', scope: snapshot.scope, name: '' });
  const { resources } = snapshot;
  if (resources.size > limits.resources) exceeded(found, `${resources.size} resources`, limits.resources);
  let bytes = 0;
  let routes = 0;
  for (const resource of resources.values()) {
    bytes += resource.body.length;
    if (resource.kind === 'Route') routes += 1;
  }
  if (bytes > limits.bytes) exceeded(found, `${bytes} bytes`, limits.bytes);
  if (routes > limits.routes) exceeded(found, `${routes} routes`, limits.routes);
  return found.problems;
}

function exceeded(found: ProblemList, has: string, limit: number): void {
  found.error('limit-exceeded', '', `the set has ${has}; at most ${limit} are allowed`);
}
