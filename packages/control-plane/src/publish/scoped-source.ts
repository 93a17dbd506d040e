import { applyChanges, type Change, makeSnapshot, operatorScope, type Snapshot, typeUrlOf } from '@signalbox/config';
import type { Collection, CollectionSource, ResourceEntry, StagedCollection } from '@signalbox/xds';

import { nativeName, projectManifest } from '../projections/native.ts';
import type { CommittedChange } from '../store/change-feed.ts';
import { ScopeCollection } from './scope-collection.ts';
import type { ScopeStages } from './scope-stages.ts';
import { typeChanges } from './scope-state.ts';
import type { TenantDirectory } from './tenant-directory.ts';
import type { TenantRights } from './tenant-rights.ts';

/** What is published: the publisher. */
export type PublishedScopes = Pick<CollectionSource, 'ready' | 'get' | 'ids'> & {
  snapshot(scope: string): Snapshot | undefined;
  /** Undefined: all nodes have the same. */
  staged(scope: string): ScopeStages | undefined;
};

export interface ScopedSourceOptions {
  readonly rights: TenantRights;
  readonly published: PublishedScopes;
  readonly directory: TenantDirectory;
  /** Changes of one type of the operator's set that are remembered for streams that lag behind. */
  readonly maxRememberedChanges: number;
  /** The first listener has come: from now on it has to be told of changes. */
  readonly onUsed: () => void;
  /** The last listener has left. */
  readonly onUnused: () => void;
}

/** What is seen of the operator's set. */
interface SeenOperator {
  /** As of the revision at which something of it changed last. */
  readonly snapshot: Snapshot;
  readonly collection: ScopeCollection;
}

/** What a change of the operator's set means for some rights. */
interface ScopedChange {
  /** Tenants that came into the rights or left them. */
  readonly moved: readonly string[];
}

/**
 * The published configuration as one kind of credential may know it: of the operator's set everything but the Tenants of
 * others, and the sets of the tenants that the rights cover. Tenants come and go as their labels change.
 *
 * A change of the operator's set that this credential does not see has no bytes for it: its Manifest stays as it is, with
 * the revision at which something was seen last.
 */
export class ScopedSource implements CollectionSource {
  readonly #options: ScopedSourceOptions;
  readonly #listeners = new Set<(ids: readonly string[]) => void>();
  /** Tenants that the rights cover, those that do not exist included if they are named. */
  readonly #tenants = new Set<string>();
  #operator: SeenOperator | undefined;

  constructor(options: ScopedSourceOptions) {
    this.#options = options;
  }

  get key(): string {
    return this.#options.rights.key;
  }

  get ready(): boolean {
    return this.#options.published.ready;
  }

  /** Names of the tenants that the rights cover now. */
  get tenants(): ReadonlySet<string> {
    return this.#tenants;
  }

  /** Whether the rights cover a scope now. */
  has(id: string): boolean {
    return id === operatorScope || this.#options.directory.covers(this.#options.rights, id);
  }

  get(id: string): Collection | undefined {
    if (id === operatorScope) return this.#operator?.collection;
    return this.#tenants.has(id) ? this.#options.published.get(id) : undefined;
  }

  staged(id: string): StagedCollection | undefined {
    return this.#tenants.has(id) ? this.#options.published.staged(id) : undefined;
  }

  *ids(): Iterable<string> {
    if (this.#operator) yield operatorScope;
    for (const tenant of this.#tenants) if (this.#options.published.get(tenant)) yield tenant;
  }

  /** As {@link ids}: the rights as a set of scopes. */
  keys(): Iterable<string> {
    return this.ids();
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    if (this.#listeners.size === 0) {
      this.#read();
      this.#options.onUsed();
    }
    this.#listeners.add(listener);
    return {
      [Symbol.dispose]: () => {
        if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#options.onUnused();
      },
    };
  }

  /** The operator's set has changed. */
  operatorChanged(changes: readonly Change[], { revision }: Snapshot): ScopedChange {
    if (!this.#operator) return { moved: [] };
    const { snapshot, collection } = this.#operator;
    const moved: string[] = [];
    const seen: CommittedChange[] = [];
    for (const change of changes) {
      const { kind, name } = change;
      const resource = change.op === 'delete' ? null : change.after;
      const isCovered =
        kind !== 'Tenant' ||
        (resource !== null && this.#options.directory.coversResource(this.#options.rights, resource));
      if (kind === 'Tenant' && this.#move(name, isCovered)) moved.push(name);
      if (isCovered) seen.push({ kind, name, resource });
      else if (snapshot.resources.has(`${kind}/${name}`)) seen.push({ kind, name, resource: null });
    }
    this.#operator =
      seen.length === 0
        ? { snapshot, collection: this.#unchanged(collection, revision) }
        : this.#next({ snapshot, collection }, seen, revision);
    return { moved };
  }

  /** Tells who listens. */
  notify(ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(ids);
  }

  /** @returns whether the tenant came or went. One that the rights name stays among them. */
  #move(tenant: string, isCovered: boolean): boolean {
    if (this.#options.rights.names.has(tenant) || this.#tenants.has(tenant) === isCovered) return false;
    if (isCovered) this.#tenants.add(tenant);
    else this.#tenants.delete(tenant);
    return true;
  }

  /** Begins with what is published. */
  #read(): void {
    const { published, rights, directory } = this.#options;
    this.#tenants.clear();
    for (const name of rights.names) this.#tenants.add(name);
    const operator = published.snapshot(operatorScope);
    if (!operator) return void (this.#operator = undefined);
    const resources = [...directory.besideTenants(operator), ...directory.tenantsOf(rights, operator)];
    for (const { kind, name } of resources) if (kind === 'Tenant') this.#tenants.add(name);
    const snapshot = makeSnapshot(operatorScope, operator.revision, resources);
    this.#operator = { snapshot, collection: this.#collectionOf(snapshot) };
  }

  /** Resources as everybody has them, under a Manifest of their own. */
  #collectionOf(snapshot: Snapshot): ScopeCollection {
    const whole = this.#options.published.get(operatorScope);
    const entries = new Map<string, ResourceEntry[]>();
    for (const { kind, name } of snapshot.resources.values()) {
      const entry = whole?.get(typeUrlOf(kind), nativeName(operatorScope, kind, name));
      const known = entries.get(typeUrlOf(kind));
      if (entry && known) known.push(entry);
      else if (entry) entries.set(typeUrlOf(kind), [entry]);
    }
    entries.set(typeUrlOf('Manifest'), [projectManifest(snapshot, snapshot.revision)]);
    return ScopeCollection.initial(operatorScope, snapshot.revision, () => entries);
  }

  /** Later than before, and the same: who has it has this revision, too. */
  #unchanged(collection: ScopeCollection, revision: bigint): ScopeCollection {
    return collection.next(revision, new Map(), this.#options.maxRememberedChanges);
  }

  #next(before: SeenOperator, changes: readonly CommittedChange[], revision: bigint): SeenOperator {
    const snapshot = applyChanges(
      before.snapshot,
      revision,
      changes.map(({ kind, name, resource }) => (resource ? { put: resource } : { delete: { kind, name } })),
    );
    // Each removal was judged when it was written, against the whole set. Rights and labels may take any share of this one.
    const projected = typeChanges({ snapshot, removalsConfirmed: revision }, changes);
    return { snapshot, collection: before.collection.next(revision, projected, this.#options.maxRememberedChanges) };
  }
}
