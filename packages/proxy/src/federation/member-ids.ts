import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SessionKeys } from '../session/session-keys.ts';

/** What an id that a client gives back leads to. */
export interface MemberId {
  /** Key of the member. */
  readonly member: string;
  /** Raw JSON of the id, or progress token, as the member knows it. */
  readonly id: string;
}

/**
 * Ids of requests that members send to a client, and their progress tokens, as the client sees them: they say which
 * member asked, so that the answer finds its way through any node. Bound to the session: one of another session is
 * refused.
 */
export class MemberIds {
  readonly #keys: SessionKeys;

  constructor(keys: SessionKeys) {
    this.#keys = keys;
  }

  /** @returns raw JSON: quotes included, ASCII. */
  mint(session: string, member: string, id: string): string {
    const text = `${marker}${member}.${Buffer.from(id, 'utf8').toString('base64url')}`;
    return `"${text}.${this.#proof(this.#keys[0], session, text).toString('base64url')}"`;
  }

  /** @param minted as raw JSON. @returns undefined for what was not minted for this session. */
  read(session: string, minted: string): MemberId | undefined {
    const [, text, member, id, proof] = pattern.exec(minted) ?? [];
    if (text === undefined || member === undefined || id === undefined || proof === undefined) return undefined;
    const given = Buffer.from(proof, 'base64url');
    const isOurs = this.#keys.some((key) => timingSafeEqual(this.#proof(key, session, text), given));
    return isOurs ? { member, id: Buffer.from(id, 'base64url').toString('utf8') } : undefined;
  }

  #proof({ key }: SessionKeys[number], session: string, text: string): Buffer {
    return createHmac('sha256', key).update(`${session}\n${text}`).digest().subarray(0, proofBytes);
  }
}

const marker = 'sbm.';
const proofBytes = 12;
/** 16 characters are 12 bytes. */
const pattern = /^"(sbm\.([a-z0-9-]{1,63})\.([\w-]*))\.([\w-]{16})"$/;
