import { timingSafeEqual } from 'node:crypto';

import type { TokenRecord } from './tokens.ts';

/** A token as it is kept for the time in which the database does not answer. */
export interface RememberedToken {
  readonly record: TokenRecord;
  /** SHA-256 of the credential. */
  readonly hash: Buffer;
}

/**
 * The tokens that were valid when the database was last asked: as many as may exist. They let nodes and readers in, also
 * while it does not answer; a token that another replica revokes meanwhile is believed until it answers again.
 */
export class RememberedTokens {
  readonly #limit: number;
  readonly #tokens = new Map<string, RememberedToken>();

  /** @param limit tokens that are learnt one by one. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** These and no others are valid. */
  replace(tokens: Iterable<RememberedToken>): void {
    this.#tokens.clear();
    for (const token of tokens) this.#tokens.set(token.record.id, token);
  }

  learn(token: RememberedToken): void {
    if (this.#tokens.size < this.#limit || this.#tokens.has(token.record.id)) this.#tokens.set(token.record.id, token);
  }

  forget(id: string): void {
    this.#tokens.delete(id);
  }

  find(id: string, hash: Buffer): TokenRecord | undefined {
    const token = this.#tokens.get(id);
    return token?.hash.length === hash.length && timingSafeEqual(token.hash, hash) ? token.record : undefined;
  }

  /** The row of the node itself, or the one of its gateway. */
  findNode(gateway: string, node: string): TokenRecord | undefined {
    const records = Array.from(this.#tokens.values(), ({ record }) => record);
    const fitting = records.filter((record) => record.form === 'certificate' && record.gateway === gateway);
    return fitting.find((record) => record.node === node) ?? fitting.find((record) => record.node === '');
  }

  all(): readonly RememberedToken[] {
    return [...this.#tokens.values()];
  }
}
