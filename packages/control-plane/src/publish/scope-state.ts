import {
  applyChanges,
  type Kind,
  makeSnapshot,
  type Snapshot,
  type SnapshotChange,
  typeUrlOf,
} from '@signalbox/config';
import { nativeName, projectManifest, projectResource, projectSnapshot } from '../projections/native.ts';
import type { CommittedChange, CommittedRevision, CommittedScope } from '../store/change-feed.ts';
import { ScopeCollection, type TypeChange } from './scope-collection.ts';

/** A scope at one revision, in every form in which it is published. Immutable. */
export interface ScopeState {
  readonly snapshot: Snapshot;
  readonly collection: ScopeCollection;
  readonly committedAtMs: number;
  /** Removals up to this revision are meant. */
  readonly removalsConfirmed: bigint;
}

/** A state without a past. What it is made of is put in order when somebody first looks. */
export function firstState(committed: CommittedScope): ScopeState {
  return new FirstState(committed);
}

class FirstState implements ScopeState {
  readonly collection: ScopeCollection;
  readonly committedAtMs: number;
  readonly removalsConfirmed: bigint;
  #snapshot: Snapshot | (() => Snapshot);

  constructor({ scope, revision, resources, committedAtMs, removalsConfirmed }: CommittedScope) {
    this.committedAtMs = committedAtMs;
    this.removalsConfirmed = removalsConfirmed;
    this.#snapshot = () => makeSnapshot(scope, revision, resources);
    const entries = () => projectSnapshot(this.snapshot, removalsConfirmed);
    this.collection = ScopeCollection.initial(scope, revision, entries);
  }

  get snapshot(): Snapshot {
    if (typeof this.#snapshot === 'function') this.#snapshot = this.#snapshot();
    return this.#snapshot;
  }
}

/**
 * The state after some revisions, in order, published as the last of them.
 * @param maxLogged changes remembered of each type.
 */
export function nextState(before: ScopeState, revisions: readonly CommittedRevision[], maxLogged: number): ScopeState {
  const last = revisions.at(-1);
  if (!last) return before;
  const { revision, committedAtMs, removalsConfirmed } = last;
  const changes = revisions.flatMap((each) => each.changes);
  const snapshot = applyChanges(before.snapshot, revision, changes.map(toSnapshotChange));
  const onWire = typeChanges({ snapshot, removalsConfirmed }, changes);
  const collection = before.collection.next(revision, onWire, maxLogged);
  return { snapshot, collection, committedAtMs, removalsConfirmed };
}

function toSnapshotChange({ kind, name, resource }: CommittedChange): SnapshotChange {
  return resource ? { put: resource } : { delete: { kind, name } };
}

/** What a snapshot changes on the wire: of each touched resource the last state, and always the Manifest. */
export function typeChanges(
  { snapshot, removalsConfirmed }: Pick<ScopeState, 'snapshot' | 'removalsConfirmed'>,
  changes: readonly CommittedChange[],
): ReadonlyMap<string, TypeChange> {
  const touched = new Map(changes.map((change) => [`${change.kind}/${change.name}`, change]));
  const byKind = Map.groupBy(touched.values(), ({ kind }) => kind);
  const { scope, revision } = snapshot;
  const projected = new Map<string, TypeChange>();
  for (const [kind, list] of byKind) {
    const put = list.flatMap(({ resource }) => (resource ? projectResource(scope, resource, revision) : []));
    const deleted = list.flatMap((change) => (change.resource ? [] : deletedName(scope, kind, change)));
    projected.set(typeUrlOf(kind), { put, deleted });
  }
  return projected.set(typeUrlOf('Manifest'), { put: [projectManifest(snapshot, removalsConfirmed)], deleted: [] });
}

function deletedName(scope: string, kind: Kind, { name }: CommittedChange): string {
  return nativeName(scope, kind, name);
}
