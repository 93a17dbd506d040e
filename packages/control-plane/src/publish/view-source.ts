import { operatorScope, type Snapshot } from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';
import type { ClientNode, Collection, CollectionSource, StagedCollection } from '@signalbox/xds';
import type { ConfigurationView, Projection, ProjectionVariant } from '../projections/projection.ts';
import { Debounce, type DebounceOptions } from './debounce.ts';
import type { ScopeStages } from './scope-stages.ts';
import type { TenantDirectory } from './tenant-directory.ts';
import type { TenantRights } from './tenant-rights.ts';
import { ViewCollection } from './view-collection.ts';
import { ViewStages } from './view-stages.ts';

export interface ViewSourceOptions {
  readonly projection: Projection;
  /** What is published: the publisher. */
  readonly published: Pick<CollectionSource, 'ready' | 'ids' | 'onChange'> & {
    snapshot(scope: string): Snapshot | undefined;
    staged(scope: string): ScopeStages | undefined;
    /** Scopes that not all nodes have at the same revision. */
    stagedIds(): Iterable<string>;
  };
  readonly directory: TenantDirectory;
  readonly clock: Clock;
  /** How changes that follow each other closely are folded into one. */
  readonly debounce: DebounceOptions;
  /** Views that may exist: kinds of credentials that are in use at one time. */
  readonly maxViews: number;
}

interface View {
  readonly gateway: string;
  readonly variant: string;
  /** Null: all. */
  readonly tenants: TenantRights | null;
  readonly debounce: Debounce;
  collection: ViewCollection;
  /** Of whose tenants some subscribers get another revision than others; undefined: all get the same. */
  stages: ViewStages | undefined;
  /** Streams that read it. */
  streams: number;
  /** When it was opened last, in monotonic milliseconds: whoever did so may not read it yet. */
  openedAtMs: number;
  /** Something changed that is not in it: nobody reads it. */
  isStale: boolean;
}

/** A stream is let in within a moment of the opening of its view. */
const lettingInMs = 1_000;

/**
 * What a projection makes of the published configuration, one collection for each kind of credential: resources of a
 * foreign family may combine several tenants, so each set of tenants has resources of its own, and nobody receives
 * anything of a tenant that is not his. A view that nobody reads is not kept up to date.
 */
export class ViewSource implements CollectionSource {
  readonly #options: ViewSourceOptions;
  readonly #views = new Map<string, View>();
  readonly #listeners = new Set<(ids: readonly string[]) => void>();
  readonly #subscription: Disposable;

  constructor(options: ViewSourceOptions) {
    this.#options = options;
    this.#subscription = options.published.onChange((scopes) => this.#onChange(scopes));
  }

  get ready(): boolean {
    return this.#options.published.ready;
  }

  get(id: string): Collection | undefined {
    return this.#views.get(id)?.collection;
  }

  staged(id: string): StagedCollection | undefined {
    return this.#views.get(id)?.stages;
  }

  ids(): Iterable<string> {
    return this.#views.keys();
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * The view of a kind of credential, made when it is needed first.
   * @returns its id; undefined if there are too many in use.
   */
  open(gateway: string, tenants: TenantRights | null, variant = ''): string | undefined {
    const id = JSON.stringify([gateway, tenants?.key ?? null, variant]);
    const known = this.#views.get(id);
    const openedAtMs = this.#options.clock.monotonic();
    if (known) {
      known.openedAtMs = openedAtMs;
      if (known.isStale) this.#renew(id, known);
      return id;
    }
    if (this.#views.size >= this.#options.maxViews && !this.#dropIdle()) return undefined;
    const debounce = new Debounce(this.#options.debounce, this.#options.clock, () => this.#renewed(id));
    const collection = this.#project(id, { gateway, tenants, variant }, undefined);
    const empty = { stages: undefined, streams: 0, openedAtMs, isStale: false };
    const view: View = { gateway, tenants, variant, debounce, collection, ...empty };
    view.stages = this.#stages(id, view);
    this.#views.set(id, view);
    this.#notify(id);
    return id;
  }

  /** What a node gets that is too old for the rest. */
  variantOf(node: ClientNode): ProjectionVariant | undefined {
    return this.#options.projection.variantOf?.(node);
  }

  /** A stream begins to read views. */
  hold(ids: Iterable<string>): void {
    for (const id of ids) this.#count(id, 1);
  }

  /** A stream that read views has ended. */
  release(ids: Iterable<string>): void {
    for (const id of ids) this.#count(id, -1);
  }

  stop(): void {
    this.#subscription[Symbol.dispose]();
    for (const view of this.#views.values()) view.debounce.cancel();
  }

  #count(id: string, change: 1 | -1): void {
    const view = this.#views.get(id);
    if (view) view.streams += change;
  }

  #dropIdle(): boolean {
    const { clock } = this.#options;
    for (const [id, view] of this.#views) {
      if (view.streams > 0 || clock.monotonic() - view.openedAtMs < lettingInMs) continue;
      view.debounce.cancel();
      this.#views.delete(id);
      this.#notify(id);
      return true;
    }
    return false;
  }

  #onChange(scopes: readonly string[]): void {
    for (const view of this.#views.values()) {
      if (!scopes.some((scope) => scope === operatorScope || this.#covers(view, scope))) continue;
      view.isStale = true;
      if (view.streams > 0) view.debounce.call();
    }
  }

  #renewed(id: string): void {
    const view = this.#views.get(id);
    if (view) this.#renew(id, view);
  }

  #renew(id: string, view: View): void {
    view.isStale = false;
    view.collection = this.#project(id, view, view.collection);
    view.stages = this.#stages(id, view);
    this.#notify(id);
  }

  #stages(id: string, view: View): ViewStages | undefined {
    const { published, maxViews } = this.#options;
    const ids = [...published.stagedIds()].filter((scope) => this.#covers(view, scope)).sort();
    const scopes = ids.flatMap((scope) => {
      const stages = published.staged(scope);
      return stages ? [[scope, stages] as const] : [];
    });
    if (scopes.length === 0) return undefined;
    const project = (bases: ReadonlyMap<string, Snapshot>, before: ViewCollection | undefined) =>
      this.#project(id, view, before, bases);
    return new ViewStages({ newest: view.collection, scopes, project, maxVariants: maxViews, before: view.stages });
  }

  /** @param bases what some tenants are to be seen as, in place of their newest snapshots. */
  #project(
    id: string,
    view: Pick<View, 'gateway' | 'tenants' | 'variant'>,
    before: ViewCollection | undefined,
    bases: ReadonlyMap<string, Snapshot> = new Map(),
  ): ViewCollection {
    const seen = this.#viewed(view, bases);
    const covers = new Map([[operatorScope, seen.operator.revision]]);
    for (const [name, { revision }] of seen.tenants) covers.set(name, revision);
    return ViewCollection.of(id, this.#options.projection.project(seen), covers, before);
  }

  #viewed(
    { gateway, tenants, variant }: Pick<View, 'gateway' | 'tenants' | 'variant'>,
    bases: ReadonlyMap<string, Snapshot>,
  ): ConfigurationView {
    const { published } = this.#options;
    const operator = published.snapshot(operatorScope);
    if (!operator) throw new Error('a view was opened before anything was published');
    const names = [...published.ids()].filter((id) => id !== operatorScope && this.#covers({ tenants }, id)).sort();
    const snapshots = names.flatMap((name) => {
      const snapshot = bases.get(name) ?? published.snapshot(name);
      return snapshot ? [[name, snapshot] as const] : [];
    });
    return { gateway, variant, operator, tenants: new Map(snapshots) };
  }

  #covers({ tenants }: Pick<View, 'tenants'>, tenant: string): boolean {
    return this.#options.directory.covers(tenants, tenant);
  }

  #notify(id: string): void {
    for (const listener of this.#listeners) listener([id]);
  }
}
