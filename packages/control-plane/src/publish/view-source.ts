import { operatorScope, type Snapshot } from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';
import type { ClientNode, Collection, CollectionSource } from '@signalbox/xds';
import type { ConfigurationView, Projection, ProjectionVariant } from '../projections/projection.ts';
import { Debounce, type DebounceOptions } from './debounce.ts';
import type { TenantDirectory } from './tenant-directory.ts';
import type { TenantRights } from './tenant-rights.ts';
import { ViewCollection } from './view-collection.ts';

export interface ViewSourceOptions {
  readonly projection: Projection;
  /** What is published: the publisher. */
  readonly published: Pick<CollectionSource, 'ready' | 'ids' | 'onChange'> & {
    snapshot(scope: string): Snapshot | undefined;
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
  /** Streams that read it. */
  streams: number;
  /** Something changed that is not in it: nobody reads it. */
  isStale: boolean;
}

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
    if (known) {
      if (known.isStale) this.#renew(id, known);
      return id;
    }
    if (this.#views.size >= this.#options.maxViews && !this.#dropIdle()) return undefined;
    const debounce = new Debounce(this.#options.debounce, this.#options.clock, () => this.#renewed(id));
    const collection = this.#project(id, { gateway, tenants, variant }, undefined);
    this.#views.set(id, { gateway, tenants, variant, debounce, collection, streams: 0, isStale: false });
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
    for (const [id, view] of this.#views) {
      if (view.streams > 0) continue;
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
    this.#notify(id);
  }

  #project(
    id: string,
    view: Pick<View, 'gateway' | 'tenants' | 'variant'>,
    before: ViewCollection | undefined,
  ): ViewCollection {
    const seen = this.#viewed(view);
    const covers = new Map([[operatorScope, seen.operator.revision]]);
    for (const [name, { revision }] of seen.tenants) covers.set(name, revision);
    return ViewCollection.of(id, this.#options.projection.project(seen), covers, before);
  }

  #viewed({ gateway, tenants, variant }: Pick<View, 'gateway' | 'tenants' | 'variant'>): ConfigurationView {
    const { published } = this.#options;
    const operator = published.snapshot(operatorScope);
    if (!operator) throw new Error('a view was opened before anything was published');
    const names = [...published.ids()].filter((id) => id !== operatorScope && this.#covers({ tenants }, id)).sort();
    const snapshots = names.flatMap((name) => {
      const snapshot = published.snapshot(name);
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
