import { operatorScope, type RoutingTable } from '@signalbox/config';
import type { CollectionRevision, ResourceFault, ResourceUpdate } from '@signalbox/xds';

import type { SimulatedDatabase } from './simulated-database.ts';
import { type NodePlan, scopesIn } from './simulated-node.ts';

/** A table, and what it said when it went live. */
interface SeenTable {
  readonly node: string;
  readonly table: RoutingTable;
  readonly said: string;
}

/** What must hold in every state. Numbers are those of the design's rules. */
export class Invariants {
  readonly violations: string[] = [];
  readonly #database: SimulatedDatabase;
  readonly #tables: SeenTable[] = [];
  /** Newest revisions that each node has served, by node and scope. */
  readonly #served = new Map<string, bigint>();
  /** What each node serves now. */
  readonly #present = new Map<string, RoutingTable>();

  constructor(database: SimulatedDatabase) {
    this.#database = database;
  }

  /** A process of a node has ended: the next may boot from an older state of its disk. */
  killed(node: string): void {
    this.#present.delete(node);
  }

  /** 9. Nothing of a tenant reaches a node that may not see it. */
  update({ id, tenants }: NodePlan, update: ResourceUpdate): void {
    if (!tenants) return;
    for (const scope of scopesIn(update)) {
      if (scope !== operatorScope && !tenants.includes(scope)) this.#report('9', id, `was sent something of ${scope}`);
    }
  }

  table({ id, tenants, routes }: NodePlan, table: RoutingTable): void {
    const before = this.#present.get(id);
    this.#present.set(id, table);
    this.#tables.push({ node: id, table, said: contentOf(table) });
    for (const [scope, { revision, hash }] of setsIn(table)) {
      // 6. What is served was committed, and is whole.
      if (this.#database.committed.get(scope)?.has(`${revision} ${hash}`) !== true)
        this.#report('6', id, `serves ${scope}@${revision} ${hash}, which was never committed`);
      const served = this.#served.get(`${id} ${scope}`) ?? 0n;
      this.#served.set(`${id} ${scope}`, revision > served ? revision : served);
      const held = before && setsIn(before).get(scope);
      if (held && held.revision > revision) this.#report('6', id, `went back to ${scope}@${revision}`);
    }
    for (const [name, tenant] of table.tenants) {
      if (tenants && !tenants.includes(name)) this.#report('9', id, `serves ${name}, which it may not see`);
      if (routes !== undefined && tenant.routes.size > routes) {
        this.#report('6', id, `serves ${name}@${tenant.revision}, which it has to refuse`);
      }
    }
    // 5. A tenant goes only by the operator's word.
    for (const name of before?.tenants.keys() ?? []) {
      if (!table.tenants.has(name) && !this.#wasRemoved(name)) this.#report('5', id, `gave ${name} up by itself`);
    }
    this.untouched();
  }

  /** 5. What a node had on disk is what it serves after a restart. @param disk scopes and revisions then. */
  booted({ id }: NodePlan, table: RoutingTable | undefined, disk: ReadonlyMap<string, bigint>): void {
    const operator = table?.operator;
    if (disk.has(operatorScope) && !operator) return this.#report('5', id, 'serves nothing after a restart');
    for (const [scope, revision] of disk) {
      if (scope === operatorScope || !operator?.tenants.has(scope)) continue;
      if (table?.tenants.get(scope)?.revision !== revision)
        this.#report('5', id, `does not serve ${scope}@${revision} after a restart`);
    }
  }

  /** Nobody is told of a revision that a node runs before it runs it. */
  acknowledged(node: string, collections: readonly CollectionRevision[]): void {
    for (const { id, revision } of collections) {
      if (revision !== undefined && (this.#served.get(`${node} ${id}`) ?? 0n) < revision)
        this.#report('propagation', node, `is said to run ${id}@${revision} and never did`);
    }
  }

  /** A node that was sent everything that it lacks has what a Manifest announces. */
  refused(node: string, faults: readonly ResourceFault[]): void {
    for (const { error } of faults) {
      if (error.includes('does not match the manifest')) this.#report('delta', node, `was sent too little: ${error}`);
    }
  }

  /** 2. No table changes once it is live. */
  untouched(): void {
    for (const { node, table, said } of this.#tables.splice(0, Math.max(0, this.#tables.length - keptTables))) {
      if (contentOf(table) !== said) this.#report('2', node, 'a table changed after it went live');
    }
  }

  end(): void {
    for (const { node, table, said } of this.#tables) {
      if (contentOf(table) !== said) this.#report('2', node, 'a table changed after it went live');
    }
  }

  #wasRemoved(tenant: string): boolean {
    return this.#database.removedTenants.has(tenant);
  }

  #report(rule: string, node: string, what: string): void {
    this.violations.push(`rule ${rule}: ${node} ${what}`);
  }
}

/** Tables of a run that are looked at again when they are old, and at the end. */
const keptTables = 50;

/** Revision and hash of every set in a table. */
export function setsIn(table: RoutingTable): ReadonlyMap<string, { readonly revision: bigint; readonly hash: string }> {
  const sets = new Map<string, { readonly revision: bigint; readonly hash: string }>(table.tenants);
  if (table.operator) sets.set(operatorScope, table.operator);
  return sets;
}

function contentOf(table: RoutingTable): string {
  const sets = [...setsIn(table)].map(([scope, { revision, hash }]) => `${scope}@${revision} ${hash}`);
  const routes = [...table.tenants.values()].flatMap((tenant) =>
    Array.from(tenant.routes, ([name, { digest }]) => `${tenant.tenant}/${name} ${digest}`),
  );
  return [table.hash, ...sets, ...routes].join('\n');
}
