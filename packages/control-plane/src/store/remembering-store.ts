import { operatorScope, type Snapshot } from '@signalbox/config';
import type { Counter, Metrics } from '@signalbox/runtime';

import { isOutage } from './outage.ts';
import type { ConfigStore, ResourceFilter, ResourceList, TenantInfo, WriteInputs, WriteRequest } from './store.ts';

/** What is served, whatever the database does. */
export interface ServedState {
  /** The scope as it is published; undefined if it is not. */
  snapshot(scope: string): Snapshot | undefined;
}

/**
 * The store, and what this replica serves in its place for reading while the database does not answer. Writes and
 * history fail then: they are the database's alone.
 */
export class RememberingStore implements ConfigStore {
  readonly #store: ConfigStore;
  readonly #served: ServedState;
  readonly #fromMemory: Counter;

  constructor(store: ConfigStore, served: ServedState, metrics: Metrics) {
    this.#store = store;
    this.#served = served;
    this.#fromMemory = metrics.counter(
      'signalbox_reads_from_memory_total',
      'Reads of the API that were answered from memory because the database did not.',
    );
  }

  write(request: WriteRequest) {
    return this.#store.write(request);
  }

  revisions(scope: string, page: { limit: number; before: bigint | undefined }) {
    return this.#store.revisions(scope, page);
  }

  revision(scope: string, revision: bigint) {
    return this.#store.revision(scope, revision);
  }

  ping() {
    return this.#store.ping();
  }

  read<T>(scope: string, look: (inputs: WriteInputs) => Promise<T>): Promise<T | undefined> {
    return this.#or(
      () => this.#store.read(scope, look),
      async (outage) => {
        const inputs = this.#inputs(scope, outage);
        return inputs && look(inputs);
      },
    );
  }

  list(scope: string, filter: ResourceFilter = {}): Promise<ResourceList | undefined> {
    return this.#or(
      () => this.#store.list(scope, filter),
      async () => {
        const snapshot = this.#served.snapshot(scope);
        return snapshot && listOf(snapshot, filter);
      },
    );
  }

  tenant(name: string): Promise<TenantInfo | undefined> {
    return this.#or(
      () => this.#store.tenant(name),
      async () => this.#tenants().find((tenant) => tenant.name === name),
    );
  }

  tenants(names?: readonly string[]): Promise<readonly TenantInfo[]> {
    return this.#or(
      () => this.#store.tenants(names),
      async () => this.#tenants().filter(({ name }) => names?.includes(name) ?? true),
    );
  }

  async #or<T>(ask: () => Promise<T>, remember: (outage: unknown) => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!isOutage(error) || !this.#served.snapshot(operatorScope)) throw error;
      this.#fromMemory.add();
      return remember(error);
    }
  }

  #inputs(scope: string, outage: unknown): WriteInputs | undefined {
    const current = this.#served.snapshot(scope);
    const operator = this.#served.snapshot(operatorScope);
    if (!current || !operator) return undefined;
    const snapshots = this.#tenants().flatMap(({ name }) => this.#served.snapshot(name) ?? []);
    return {
      ...{ current, operator },
      at: () => {
        throw outage;
      },
      async *tenants() {
        yield* snapshots;
      },
    };
  }

  #tenants(): readonly TenantInfo[] {
    const resources = [...(this.#served.snapshot(operatorScope)?.resources.values() ?? [])];
    return resources
      .filter(({ kind }) => kind === 'Tenant')
      .map((resource) => {
        const snapshot = this.#served.snapshot(resource.name);
        const counts = { revision: snapshot?.revision ?? 0n, resourceCount: snapshot?.resources.size ?? 0 };
        return { name: resource.name, ...counts, createdAt: undefined, resource };
      });
  }
}

/** Of which revision a resource is, only the database knows: 0. */
function listOf({ scope, revision, resources }: Snapshot, { kind, name }: ResourceFilter): ResourceList {
  const found = [...resources.values()].filter(
    (one) => (kind ?? one.kind) === one.kind && (name === undefined || name === '' || name === one.name),
  );
  return { scope, revision, resources: found.map((resource) => ({ resource, revision: 0n })) };
}
