import type { CollectionRevision, SeenIds, StreamInfo } from '@signalbox/xds';

import type { NodeMembers, NodeNack } from './node-directory.ts';
import type { ResourceRefusal } from './refusals.ts';

/** What a replica offers: the newest revision of every scope. */
export interface Offered {
  /** Undefined: the scope is not offered. */
  revision(scope: string): bigint | undefined;
  scopes(): Iterable<string>;
}

/** What a node runs of a scope, where that is not the revision that is offered. */
export interface Lag {
  sent: bigint;
  applied: bigint;
  /** Resources refused so far of a revision that the node has not answered for yet. */
  faulty: NodeNack | undefined;
  /** The newest revision refused as a whole and not superseded by one applied. */
  refused: NodeNack | undefined;
}

/**
 * One node on this replica. It runs what is offered of the scopes that it serves, except where it lags: so a node that
 * serves all of ten thousand tenants costs no more than one that serves ten. As long as nothing was answered on its stream
 * it is fresh: it may run anything.
 */
export class NodeRecord {
  readonly key: string;
  readonly stream: StreamInfo;
  readonly connectedSinceMs: number;
  leftAtMs: number | undefined;
  lastSeenMs: number;
  lastAckMs: number | undefined;
  lastNack: NodeNack | undefined;
  /** What it has told of members of virtual servers. */
  told: NodeMembers;
  /** Grows with each change, over all nodes. */
  version = 0;
  readonly behind = new Map<string, Lag>();
  /** What it asks for, of what it may see. */
  #following: 'all' | ReadonlySet<string> = 'all';
  /** Scopes that it serves, once it has answered; undefined: all that there are. */
  #serving: Set<string> | undefined;
  /** Tells sets of scopes that it serves apart. */
  #servingVersion = 0;
  /** What has been sent while it is fresh; undefined from its first answer on. */
  #sentFresh: (readonly CollectionRevision[])[] | undefined = [];

  constructor(stream: StreamInfo, nowMs: number, before: NodeRecord | undefined) {
    this.key = nodeKey(stream);
    this.stream = stream;
    this.connectedSinceMs = nowMs;
    this.lastSeenMs = nowMs;
    this.lastAckMs = before?.lastAckMs;
    this.lastNack = before?.lastNack;
    this.told = before?.told ?? noMembers;
    if (this.visible !== 'all') this.#serving = new Set();
  }

  get isConnected(): boolean {
    return this.leftAtMs === undefined;
  }

  /** Nothing was answered on its stream. */
  get isFresh(): boolean {
    return this.#sentFresh !== undefined;
  }

  get following(): 'all' | ReadonlySet<string> {
    return this.#following;
  }

  /** What it may see, whether it asks for it or not. */
  get visible(): SeenIds {
    return this.stream.sources ?? this.stream.collections;
  }

  /** Whether it may see a scope, and asks for it. */
  sees(scope: string): boolean {
    const seen = this.visible;
    return (seen === 'all' || seen.has(scope)) && (this.#following === 'all' || this.#following.has(scope));
  }

  /** Scopes that it sees, of those that are offered: looks at no more of them than it may see or asks for. */
  *seen(offered: Offered): Iterable<string> {
    const { visible } = this;
    const named = this.#following === 'all' ? visible : this.#following;
    if (named === 'all') return yield* offered.scopes();
    for (const scope of named.keys()) if (offered.revision(scope) !== undefined && this.sees(scope)) yield scope;
  }

  /** Whether it counts for a scope. What it may see since a moment ago it serves from when it was sent. */
  serves(scope: string): boolean {
    return this.#isServing(scope) && this.sees(scope);
  }

  /** Of a scope that it sees: whether it counts for it. */
  #isServing(scope: string): boolean {
    return this.isFresh || this.#serving === undefined || this.#serving.has(scope);
  }

  /** Scopes that it serves, among those that are offered; null: all. */
  served(offered: Offered): readonly string[] | null {
    if (this.#serving === undefined) return null;
    return this.isFresh ? [...this.seen(offered)] : [...this.#serving];
  }

  /** Differs whenever `served` may differ from what it was before; undefined: that cannot be told. */
  get servedVersion(): number | undefined {
    return this.isFresh ? undefined : this.#servingVersion;
  }

  /** It asks for other scopes now. What it gives up it does not serve any more, whatever it ran of it. */
  follows(scopes: 'all' | ReadonlySet<string>, offered: Offered): void {
    const before = new Set(this.isFresh ? [] : (this.#serving ?? offered.scopes()));
    this.#following = scopes;
    const isWhole = scopes === 'all' && this.visible === 'all';
    this.#serving = isWhole ? undefined : new Set([...before].filter((scope) => this.sees(scope)));
    this.#servingVersion += 1;
    for (const scope of this.behind.keys()) if (!this.sees(scope)) this.behind.delete(scope);
    if (this.isFresh) return;
    for (const scope of this.seen(offered)) if (!before.has(scope)) this.#begin(scope);
  }

  /** Another revision of a scope that it sees is offered now. @param before the one that it runs if it did not lag. */
  offered(scope: string, before: bigint | undefined): void {
    if (this.isFresh || this.behind.has(scope)) return;
    if (before === undefined || !this.#isServing(scope)) this.#begin(scope);
    else this.behind.set(scope, lag(before));
  }

  /** The scope is gone. */
  withdrawn(scope: string): void {
    this.behind.delete(scope);
    if (this.#serving?.delete(scope)) this.#servingVersion += 1;
  }

  /** It runs nothing any more of a scope that it is to have. */
  gaveUp(scope: string): void {
    if (!this.isFresh) this.#begin(scope);
  }

  sent(collections: readonly CollectionRevision[]): void {
    if (this.#sentFresh) return void this.#sentFresh.push(collections);
    for (const { id, revision } of collections) {
      if (revision === undefined || !this.sees(id)) continue;
      if (!this.#isServing(id)) this.#begin(id);
      const behind = this.behind.get(id);
      if (behind) behind.sent = revision;
    }
  }

  /** The node has answered for the first time: it lags in everything that is offered to it, until it says otherwise. */
  answered(offered: Offered): void {
    if (!this.#sentFresh) return;
    const sent = new Map(this.#sentFresh.flat().map(({ id, revision }) => [id, revision]));
    for (const scope of this.seen(offered)) {
      this.behind.set(scope, { ...(this.behind.get(scope) ?? lag(0n)), sent: sent.get(scope) ?? 0n });
      this.#serve(scope);
    }
    this.#sentFresh = undefined;
  }

  /** It runs a revision of a scope that it sees. @returns what it ran before; 0 if that is not known. */
  applied(scope: string, revision: bigint, offered: bigint): bigint {
    const isNew = !this.#isServing(scope);
    const behind = this.behind.get(scope);
    this.#serve(scope);
    if (revision >= offered) this.behind.delete(scope);
    else this.behind.set(scope, { ...lag(revision), sent: behind?.sent ?? revision });
    return behind ? behind.applied : isNew ? 0n : offered;
  }

  /** It refuses a revision, or resources of it. @param whole the node has answered for the revision. */
  refused(nack: NodeNack, whole: boolean, offered: bigint): void {
    if (!this.isFresh && !this.serves(nack.scope)) this.#begin(nack.scope);
    const behind = this.behind.get(nack.scope) ?? lag(this.isFresh ? 0n : offered);
    this.behind.set(nack.scope, behind);
    const earlier = behind.faulty?.revision === nack.revision ? behind.faulty.refusals : [];
    const all = { ...nack, refusals: [...earlier, ...nack.refusals.filter((one) => !isIn(earlier, one))] };
    if (whole) behind.refused = all;
    behind.faulty = whole ? undefined : all;
    this.lastNack = all;
  }

  /** What is known of the node in a scope that it serves. @param offered newest revision of the scope. */
  lag(scope: string, offered: bigint): Readonly<Lag> {
    if (this.isFresh) return { ...lag(0n), sent: this.#sent(scope) };
    return this.behind.get(scope) ?? lag(offered);
  }

  /** It serves a scope from now on, and has proved nothing of it. */
  #begin(scope: string): void {
    this.behind.set(scope, lag(0n));
    this.#serve(scope);
  }

  #serve(scope: string): void {
    if (!this.#serving || this.#serving.has(scope)) return;
    this.#serving.add(scope);
    this.#servingVersion += 1;
  }

  #sent(scope: string): bigint {
    const sent = this.#sentFresh?.flatMap((list) => list.find(({ id }) => id === scope)?.revision ?? []);
    return sent?.at(-1) ?? 0n;
  }
}

const noMembers: NodeMembers = { members: [], leftOut: 0 };

/** Of a stream, as far as it says which node it is of. */
interface NodeName {
  readonly identity: Pick<StreamInfo['identity'], 'credentialId'>;
  readonly node: Pick<StreamInfo['node'], 'id'>;
}

/** What makes it this node: nobody takes another's place by claiming its id. */
export function nodeKey({ identity, node }: NodeName): string {
  return JSON.stringify([identity.credentialId, node.id]);
}

function lag(applied: bigint): Lag {
  return { sent: applied, applied, faulty: undefined, refused: undefined };
}

/** What was refused in part may be named again with the whole. */
function isIn(refusals: readonly ResourceRefusal[], { type, resource, message }: ResourceRefusal): boolean {
  return refusals.some((one) => one.type === type && one.resource === resource && one.message === message);
}
