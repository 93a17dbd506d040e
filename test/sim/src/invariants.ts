import { operatorScope, parseDiscoveryName, type RoutingTable, type Snapshot } from '@signalbox/config';
import { isMember, type TenantRights } from '@signalbox/control-plane/testing';
import type { CollectionRevision, ResourceFault, ResourceUpdate, StreamInfo } from '@signalbox/xds';

import type { SeenOperator } from './seen-operator.ts';
import type { SimulatedDatabase } from './simulated-database.ts';
import type { NodePlan } from './simulated-node.ts';

/** A table, and what it said when it went live. */
interface SeenTable {
  readonly node: string;
  readonly table: RoutingTable;
  readonly said: string;
}

/** What a node has served of a scope. */
interface Served {
  newest: bigint;
  readonly hashes: Set<string>;
}

/** What must hold in every state. Numbers are those of the design's rules. */
export class Invariants {
  readonly violations: string[] = [];
  readonly #database: SimulatedDatabase;
  readonly #operator: SeenOperator;
  readonly #tables: SeenTable[] = [];
  /** By node and scope. */
  readonly #served = new Map<string, Served>();
  /** What each node serves now. */
  readonly #present = new Map<string, RoutingTable>();
  /** Newest revision that was sent on each stream, by stream and scope. */
  readonly #sent = new Map<StreamInfo, Map<string, bigint>>();

  constructor(database: SimulatedDatabase, operator: SeenOperator) {
    this.#database = database;
    this.#operator = operator;
  }

  /** A process of a node has ended: the next may boot from an older state of its disk. */
  killed(node: string): void {
    this.#present.delete(node);
  }

  /** 9. Nothing of a tenant reaches a node that may not see it, and nothing that it has not asked for. */
  update({ id, rights, isOnDemand = false }: NodePlan, update: ResourceUpdate, asked: ReadonlySet<string>): void {
    for (const name of [...update.resources.map((resource) => resource.name), ...update.removed]) {
      const of = parseDiscoveryName(name);
      const tenant = of?.scope === operatorScope ? (of.kind === 'Tenant' ? of.name : undefined) : of?.scope;
      if (!of) this.#report('9', id, `was sent a name that is none: ${name}`);
      if (tenant === undefined) continue;
      if (!this.#operator.covers(rights, tenant, 'ever')) this.#report('9', id, `was sent something of ${tenant}`);
      if (isOnDemand && of?.kind !== 'Tenant' && !asked.has(tenant))
        this.#report('9', id, `was sent something of ${tenant}, which it never asked for`);
    }
  }

  /** 19. A revision reaches nodes of its stage and no others; what is sent on one stream never goes back. */
  sent(stream: StreamInfo, collections: readonly CollectionRevision[], isByRelay: boolean): void {
    const { id } = stream.node;
    const before = this.#sent.get(stream) ?? new Map<string, bigint>();
    this.#sent.set(stream, before);
    for (const { id: scope, revision } of collections) {
      if (revision === undefined) {
        before.delete(scope);
        continue;
      }
      const earlier = before.get(scope) ?? 0n;
      if (earlier > revision) this.#report('19', id, `was sent ${scope}@${revision} after ${earlier} on one stream`);
      before.set(scope, revision);
      // Who is below a relay has what the relay has.
      const rollout = isByRelay ? undefined : this.#database.rollout(scope, revision);
      const node = { id, groups: stream.identity.groups ?? [] };
      if (rollout && rollout.state !== 'completed' && !isMember(rollout.members, node))
        this.#report('19', id, `was sent ${scope}@${revision}, and is in no stage of it`);
    }
  }

  table(plan: NodePlan, table: RoutingTable): void {
    const { id, rights, routes } = plan;
    const before = this.#present.get(id);
    this.#present.set(id, table);
    this.#tables.push({ node: id, table, said: contentOf(table) });
    for (const [scope, { revision, hash }] of setsIn(table)) {
      // 6. What is served was committed, and is whole.
      if (!this.#wasCommitted(rights, { scope, revision, hash }))
        this.#report('6', id, `serves ${scope}@${revision} ${hash}, which was never committed`);
      const served = this.#servedOf(id, scope);
      served.hashes.add(hash);
      if (revision > served.newest) served.newest = revision;
      const held = before && setsIn(before).get(scope);
      if (held && held.revision > revision) this.#report('6', id, `went back to ${scope}@${revision}`);
    }
    for (const [name, tenant] of table.tenants) {
      if (!this.#operator.covers(rights, name, 'ever')) this.#report('9', id, `serves ${name}, which it may not see`);
      if (routes !== undefined && tenant.routes.size > routes) {
        this.#report('6', id, `serves ${name}@${tenant.revision}, which it has to refuse`);
      }
    }
    // 5. A tenant goes only by the operator's word.
    for (const name of before?.tenants.keys() ?? []) {
      if (!table.tenants.has(name) && !this.#mayLose(plan, name)) this.#report('5', id, `gave ${name} up by itself`);
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
  saidToRun(node: string, rights: TenantRights | null, { id: scope, revision }: CollectionRevision): void {
    if (revision === undefined || revision === 0n || this.runs(node, rights, { scope, revision })) return;
    this.#report('propagation', node, `is said to run ${scope}@${revision} and never did`);
  }

  /** Whether a node has run a revision, a newer one or, of the operator's, one that it sees the same of. */
  runs(node: string, rights: TenantRights | null, { scope, revision }: { scope: string; revision: bigint }): boolean {
    const served = this.#servedOf(node, scope);
    if (served.newest >= revision) return true;
    return scope === operatorScope && served.hashes.has(this.#operator.hash(rights, revision) ?? '');
  }

  /** A node that was sent everything that it lacks has what a Manifest announces. */
  refused({ id, isOnDemand = false }: NodePlan, faults: readonly ResourceFault[]): void {
    for (const { error } of faults) {
      // Whoever gives tenants up and asks for them again may get what was under way: it asks once more.
      if (!isOnDemand && error.includes('does not match the manifest'))
        this.#report('delta', id, `was sent too little: ${error}`);
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

  report(what: string): void {
    this.violations.push(what);
  }

  #wasCommitted(rights: TenantRights | null, { scope, revision, hash }: Pick<Snapshot, 'scope' | 'revision' | 'hash'>) {
    if (scope === operatorScope && rights) return this.#operator.hash(rights, revision) === hash;
    return this.#database.committed.get(scope)?.has(`${revision} ${hash}`) === true;
  }

  #mayLose({ rights, isOnDemand = false }: NodePlan, tenant: string): boolean {
    return isOnDemand || this.#database.removedTenants.has(tenant) || !this.#operator.covers(rights, tenant, 'always');
  }

  #servedOf(node: string, scope: string): Served {
    const key = `${node} ${scope}`;
    const served = this.#served.get(key) ?? { newest: 0n, hashes: new Set() };
    this.#served.set(key, served);
    return served;
  }

  #report(rule: string, node: string, what: string): void {
    this.report(`rule ${rule}: ${node} ${what}`);
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
