import type { CollectionRevision, StreamInfo } from '@signalbox/xds';

import type { NodeNack } from './node-directory.ts';
import type { ResourceRefusal } from './refusals.ts';

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
 * One node on this replica. It runs what is offered, except in the scopes in which it lags: so a node that sees ten
 * thousand tenants costs no more than one that sees ten. As long as nothing was answered on its stream it is fresh: it
 * may run anything.
 */
export class NodeRecord {
  readonly key: string;
  readonly stream: StreamInfo;
  readonly connectedSinceMs: number;
  leftAtMs: number | undefined;
  lastSeenMs: number;
  lastAckMs: number | undefined;
  lastNack: NodeNack | undefined;
  /** Grows with each change, over all nodes. */
  version = 0;
  readonly behind = new Map<string, Lag>();
  /** What has been sent while it is fresh; undefined from its first answer on. */
  #sentFresh: (readonly CollectionRevision[])[] | undefined = [];

  constructor(stream: StreamInfo, nowMs: number, before: NodeRecord | undefined) {
    this.key = nodeKey(stream);
    this.stream = stream;
    this.connectedSinceMs = nowMs;
    this.lastSeenMs = nowMs;
    this.lastAckMs = before?.lastAckMs;
    this.lastNack = before?.lastNack;
  }

  get isConnected(): boolean {
    return this.leftAtMs === undefined;
  }

  /** Nothing was answered on its stream. */
  get isFresh(): boolean {
    return this.#sentFresh !== undefined;
  }

  sees(scope: string): boolean {
    const { sources, collections } = this.stream;
    const seen = sources ?? collections;
    return seen === 'all' || seen.has(scope);
  }

  /** Another revision of a scope is offered now. @param before the one that the node runs if it did not lag. */
  offered(scope: string, before: bigint | undefined): void {
    if (!this.isFresh && !this.behind.has(scope)) this.behind.set(scope, lag(before ?? 0n));
  }

  /** The scope is gone. */
  withdrawn(scope: string): void {
    this.behind.delete(scope);
  }

  sent(collections: readonly CollectionRevision[]): void {
    if (this.#sentFresh) return void this.#sentFresh.push(collections);
    for (const { id, revision } of collections) {
      const behind = this.behind.get(id);
      if (behind && revision !== undefined) behind.sent = revision;
    }
  }

  /** The node has answered for the first time: it lags in everything that is offered to it, until it says otherwise. */
  answered(offered: Iterable<string>): void {
    if (!this.#sentFresh) return;
    const sent = new Map(this.#sentFresh.flat().map(({ id, revision }) => [id, revision]));
    for (const scope of offered) {
      this.behind.set(scope, { ...(this.behind.get(scope) ?? lag(0n)), sent: sent.get(scope) ?? 0n });
    }
    this.#sentFresh = undefined;
  }

  /** It runs a revision. @returns what it ran before; 0 if that is not known. */
  applied(scope: string, revision: bigint, offered: bigint): bigint {
    const behind = this.behind.get(scope);
    if (revision >= offered) this.behind.delete(scope);
    else this.behind.set(scope, { ...lag(revision), sent: behind?.sent ?? revision });
    return behind ? behind.applied : offered;
  }

  /** It refuses a revision, or resources of it. @param whole the node has answered for the revision. */
  refused(nack: NodeNack, whole: boolean, offered: bigint): void {
    const behind = this.behind.get(nack.scope) ?? lag(this.isFresh ? 0n : offered);
    this.behind.set(nack.scope, behind);
    const earlier = behind.faulty?.revision === nack.revision ? behind.faulty.refusals : [];
    const all = { ...nack, refusals: [...earlier, ...nack.refusals.filter((one) => !isIn(earlier, one))] };
    if (whole) behind.refused = all;
    behind.faulty = whole ? undefined : all;
    this.lastNack = all;
  }

  /** What is known of the node in a scope that it sees. @param offered newest revision of the scope. */
  lag(scope: string, offered: bigint): Readonly<Lag> {
    if (this.isFresh) return { ...lag(0n), sent: this.#sent(scope) };
    return this.behind.get(scope) ?? lag(offered);
  }

  #sent(scope: string): bigint {
    const sent = this.#sentFresh?.flatMap((list) => list.find(({ id }) => id === scope)?.revision ?? []);
    return sent?.at(-1) ?? 0n;
  }
}

/** What makes it this node: nobody takes another's place by claiming its id. */
export function nodeKey({ identity, node }: StreamInfo): string {
  return JSON.stringify([identity.credentialId, node.id]);
}

function lag(applied: bigint): Lag {
  return { sent: applied, applied, faulty: undefined, refused: undefined };
}

/** What was refused in part may be named again with the whole. */
function isIn(refusals: readonly ResourceRefusal[], { type, resource, message }: ResourceRefusal): boolean {
  return refusals.some((one) => one.type === type && one.resource === resource && one.message === message);
}
