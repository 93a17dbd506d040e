import { makeSnapshot, operatorScope, type Snapshot } from '@signalbox/config';
import type { TenantRights } from '@signalbox/control-plane/testing';

import type { SimulatedDatabase } from './simulated-database.ts';

/** What of the operator's committed sets rights cover: as somebody would say who has written them all down. */
export class SeenOperator {
  readonly #database: SimulatedDatabase;
  /** Names of the golden tenants, by revision; whatever else is written under a number counts last. */
  readonly #golden = new Map<bigint, ReadonlySet<string>>();
  readonly #hashes = new Map<string, string>();

  constructor(database: SimulatedDatabase) {
    this.#database = database;
  }

  /** The operator writes a revision. */
  written(revision: bigint, golden: ReadonlySet<string>): void {
    this.#golden.set(revision, golden);
  }

  covers(rights: TenantRights | null, tenant: string, when: 'ever' | 'always' | 'now'): boolean {
    if (!rights || rights.names.has(tenant)) return true;
    const newest = this.#database.newest.get(operatorScope)?.revision ?? 0n;
    const revisions = [...this.#golden.keys()].filter((revision) => revision <= newest);
    if (when === 'now') return this.#coversAt(rights, tenant, newest);
    const is = (revision: bigint) => this.#coversAt(rights, tenant, revision);
    return when === 'ever' ? revisions.some(is) : revisions.every(is);
  }

  /** Hash of a committed set as rights see it. */
  hash(rights: TenantRights | null, revision: bigint): string | undefined {
    const set = this.#database.set(operatorScope, revision);
    if (!rights || !set) return set?.hash;
    const key = `${rights.key} ${revision}`;
    const hash = this.#hashes.get(key) ?? this.#seen(rights, set).hash;
    this.#hashes.set(key, hash);
    return hash;
  }

  #coversAt({ names, selector }: TenantRights, tenant: string, revision: bigint): boolean {
    const tier = this.#golden.get(revision)?.has(tenant) === true ? 'gold' : 'lead';
    return names.has(tenant) || selector?.matches({ tier }) === true;
  }

  #seen(rights: TenantRights, { scope, revision, resources }: Snapshot): Snapshot {
    const isSeen = (name: string) => this.#coversAt(rights, name, revision);
    const seen = [...resources.values()].filter(({ kind, name }) => kind !== 'Tenant' || isSeen(name));
    return makeSnapshot(scope, revision, seen);
  }
}
