import { diffSnapshots, operatorScope, type Snapshot } from '@signalbox/config';
import type { CollectionSource } from '@signalbox/xds';

import { type PublishedScopes, ScopedSource } from './scoped-source.ts';
import type { TenantDirectory } from './tenant-directory.ts';
import type { TenantRights } from './tenant-rights.ts';

export interface ScopedSourcesOptions {
  /** What is published: the publisher. */
  readonly published: PublishedScopes & Pick<CollectionSource, 'onChange'>;
  readonly directory: TenantDirectory;
  /** Changes of one type that are remembered for streams that lag behind. */
  readonly maxRememberedChanges: number;
  /** Different rights that may be in use at one time. */
  readonly maxSources: number;
}

/**
 * The published configuration for each kind of credential that may not know all of it. Exists while streams read it, once
 * for all credentials with equal rights. A change is told only to those whose rights cover it.
 */
export class ScopedSources {
  readonly #options: ScopedSourcesOptions;
  /** By key; those that no stream reads yet included. */
  readonly #sources = new Map<string, ScopedSource>();
  readonly #used = new Set<ScopedSource>();
  /** Sources in use whose rights cover a tenant, by its name. */
  readonly #byTenant = new Map<string, Set<ScopedSource>>();
  readonly #subscription: Disposable;
  /** The operator's set that the sources in use have been told of. */
  #operator: Snapshot | undefined;

  constructor(options: ScopedSourcesOptions) {
    this.#options = options;
    this.#subscription = options.published.onChange((ids) => this.#onChange(ids));
  }

  /** How many are in use. */
  get size(): number {
    return this.#used.size;
  }

  /** What some rights see; undefined if too many different ones are in use. */
  open(rights: TenantRights): ScopedSource | undefined {
    const known = this.#sources.get(rights.key);
    if (known) return known;
    if (this.#sources.size >= this.#options.maxSources) this.#forgetUnused();
    if (this.#sources.size >= this.#options.maxSources) return undefined;
    const source = new ScopedSource({
      ...{ ...this.#options, rights },
      onUsed: () => this.#use(source),
      onUnused: () => this.#leave(source),
    });
    this.#sources.set(rights.key, source);
    return source;
  }

  stop(): void {
    this.#subscription[Symbol.dispose]();
  }

  #use(source: ScopedSource): void {
    this.#operator ??= this.#options.published.snapshot(operatorScope);
    this.#sources.set(source.key, source);
    this.#used.add(source);
    for (const tenant of source.tenants) this.#index(tenant, source, true);
  }

  #leave(source: ScopedSource): void {
    if (this.#sources.get(source.key) === source) this.#sources.delete(source.key);
    this.#used.delete(source);
    for (const tenant of source.tenants) this.#index(tenant, source, false);
  }

  /** Credentials whose streams ended before they were let in. */
  #forgetUnused(): void {
    for (const [key, source] of this.#sources) if (!this.#used.has(source)) this.#sources.delete(key);
  }

  #index(tenant: string, source: ScopedSource, isCovered: boolean): void {
    const sources = this.#byTenant.get(tenant) ?? new Set();
    if (isCovered) this.#byTenant.set(tenant, sources.add(source));
    else if (sources.delete(source) && sources.size === 0) this.#byTenant.delete(tenant);
  }

  #onChange(ids: readonly string[]): void {
    const concerned = new Map<ScopedSource, Set<string>>();
    const note = (source: ScopedSource, id: string) => {
      concerned.set(source, (concerned.get(source) ?? new Set()).add(id));
    };
    if (ids.includes(operatorScope)) this.#operatorChanged(note);
    for (const id of ids) for (const source of this.#byTenant.get(id) ?? []) note(source, id);
    for (const [source, seen] of concerned) source.notify([...seen]);
  }

  #operatorChanged(note: (source: ScopedSource, id: string) => void): void {
    const next = this.#options.published.snapshot(operatorScope);
    const before = this.#operator;
    this.#operator = next;
    if (!next || !before || this.#used.size === 0) return;
    const changes = diffSnapshots(before, next);
    for (const source of this.#used) {
      const { moved } = source.operatorChanged(changes, next);
      note(source, operatorScope);
      for (const tenant of moved) {
        this.#index(tenant, source, source.tenants.has(tenant));
        note(source, tenant);
      }
    }
  }
}
