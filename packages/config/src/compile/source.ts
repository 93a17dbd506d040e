import { type Kind, scopeOfKind } from '../kind.ts';
import type { MessageOf } from '../messages.ts';
import { type Problem, ProblemList } from '../problem.ts';
import { decodeBody } from '../resource.ts';
import { resourceKey, type Snapshot, type StoredResource } from '../snapshot.ts';
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
  const sources = emptySources();
  let count = 0;
  for (const stored of yield* inOrderSteps(snapshot)) {
    const source = reuse(stored, previous) ?? decode(stored, snapshot.scope, problems);
    if (source !== undefined) {
      (sources[stored.kind] as Map<string, Source<Kind>>).set(stored.name, source);
      problems.push(...source.problems);
    }
    count += 1;
    if (count % stepSize === 0) yield;
  }
  return sources;
}

/** The resources in the order of kind and name. A snapshot has that order already, which costs little to see. */
function inOrderSteps(snapshot: Snapshot): Generator<void, StoredResource[]> {
  return sortSteps([...snapshot.resources.values()], resourceKey);
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

/** Adds the problems itself when there is no source to carry them. */
function decode(stored: StoredResource, scope: string, problems: Problem[]): Source<Kind> | undefined {
  const { kind, name, digest } = stored;
  const found = new ProblemList({ kind, scope, name });
  if ((scopeOfKind(kind) === 'operator') !== (scope === 'operator')) {
    found.error('wrong-scope', '', `a ${kind} cannot belong to ${scope}`);
  }
  const message = found.refused ? undefined : decodeBody(stored, found);
  if (message !== undefined) return { name, digest, message, problems: found.problems };
  problems.push(...found.problems);
  return undefined;
}
