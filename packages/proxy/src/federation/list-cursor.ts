import type { Random } from '@signalbox/runtime';
import { Seal } from '../session/seal.ts';
import type { SessionKeys } from '../session/session-keys.ts';

/** Where a walk through a merged list goes on, and whose walk it is. */
export interface ListPosition {
  /** The list: `tools/list` and so on. */
  readonly method: string;
  /** Digest of the route that the walk began on: with another configuration it cannot go on. */
  readonly route: string;
  /** Whose walk it is. */
  readonly principal: string;
  /** The cursor of each member that has more; the others are done. */
  readonly members: ReadonlyMap<string, string>;
}

/** Cursors of merged lists: sealed, so that a client can neither read nor make one. Any node opens them. */
export class ListCursors {
  readonly #seal: Seal;

  constructor(keys: SessionKeys, random: Random) {
    this.#seal = new Seal(keys, random, 'list-cursor');
  }

  seal({ method, route, principal, members }: ListPosition): string {
    return this.#seal.seal(JSON.stringify([method, route, principal, [...members]]));
  }

  /** @returns undefined for what was not sealed for this list, route and principal. */
  open(cursor: string, walk: Omit<ListPosition, 'members'>): ReadonlyMap<string, string> | undefined {
    const plain = this.#seal.open(cursor);
    if (plain === undefined) return undefined;
    const [method, route, principal, members] = JSON.parse(plain) as [string, string, string, [string, string][]];
    const isThis = method === walk.method && route === walk.route && principal === walk.principal;
    return isThis ? new Map(members) : undefined;
  }
}
