import { type Kind, scopeOfKind } from '../kind.ts';
import type { MessageOf } from '../messages.ts';
import { type Problem, ProblemList } from '../problem.ts';
import { decodeBody } from '../resource.ts';
import type { Snapshot, StoredResource } from '../snapshot.ts';
import { sortSteps } from '../sort-steps.ts';
import { stepSize } from '../steps.ts';

/** A resource of a set, decoded and checked, with its warnings. */
export interface Source<K extends Kind> {
  readonly name: string;
  readonly digest: string;
  readonly message: MessageOf[K];
  readonly problems: readonly Problem[];
}

/** The sound resources of a set by kind and name, each kind in the order of names. */
export type Sources = { readonly [K in Kind]: ReadonlyMap<string, Source<K>> };

/** Decodes a set; what `previous` has with the same content is taken from there. Adds the problems of all. */
export function* decodeSteps(
  snapshot: Snapshot,
  previous: Sources | undefined,
  problems: Problem[],
): Generator<void, Sources> {
  const { scope, resources } = snapshot;
  const shared = previous && (yield* unchangedKindsSteps(snapshot, previous));
  const sources = { ...emptySources(), ...shared };
  let count = 0;
  // A snapshot has the order of its keys already, which costs little to see.
  for (const key of yield* sortSteps([...resources.keys()], (same) => same)) {
    const stored = resources.get(key) as StoredResource;
    const source = reuse(stored, previous) ?? decode(stored, scope, problems);
    if (source !== undefined) {
      if (!shared?.[stored.kind]) (sources[stored.kind] as Map<string, Source<Kind>>).set(stored.name, source);
      for (const problem of source.problems) problems.push(problem);
    }
    count += 1;
    if (count % stepSize === 0) yield;
  }
  return sources;
}

/** Of the kinds with as many resources as before, all with the same content: what was decoded of them. */
function* unchangedKindsSteps({ resources }: Snapshot, previous: Sources): Generator<void, Partial<Sources>> {
  const same = new Map<Kind, number>();
  let count = 0;
  for (const stored of resources.values()) {
    const reusable = reuse(stored, previous) !== undefined;
    same.set(stored.kind, reusable ? (same.get(stored.kind) ?? 0) + 1 : Number.NaN);
    count += 1;
    if (count % (4 * stepSize) === 0) yield;
  }
  const unchanged = Object.entries(previous).filter(([kind, { size }]) => (same.get(kind as Kind) ?? 0) === size);
  return Object.fromEntries(unchanged) as Partial<Sources>;
}

function emptySources(): Sources {
  return {
    Gateway: new Map(),
    Tenant: new Map(),
    Backend: new Map(),
    VirtualServer: new Map(),
    Route: new Map(),
    Policy: new Map(),
  };
}

function reuse(stored: StoredResource, previous: Sources | undefined): Source<Kind> | undefined {
  const source = previous?.[stored.kind].get(stored.name);
  return source?.digest === stored.digest ? source : undefined;
}

const none: readonly Problem[] = Object.freeze([]);

/** Adds the problems itself when there is no source to carry them. */
function decode(stored: StoredResource, scope: string, problems: Problem[]): Source<Kind> | undefined {
  const { kind, name, digest } = stored;
  const found = new ProblemList({ kind, scope, name });
  if ((scopeOfKind(kind) === 'operator') !== (scope === 'operator')) {
    found.error('wrong-scope', '', `a ${kind} cannot belong to ${scope}`);
  }
  const message = found.refused ? undefined : decodeBody(stored, found);
  if (message !== undefined)
    return { name, digest, message, problems: found.problems.length === 0 ? none : found.problems };
  problems.push(...found.problems);
  return undefined;
}
