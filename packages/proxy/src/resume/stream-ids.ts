import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Random } from '@signalbox/runtime';
import type { SessionKeys } from '../session/session-keys.ts';

/** Where a client wants to go on. */
export interface ResumePoint {
  /** Name of the stream in its session. */
  readonly stream: string;
  /** Of the last event that the client has seen. */
  readonly position: number;
}

/**
 * Ids of events that the gateway numbers itself, because the server does not: stream and position, bound to the session.
 * Ids of servers pass unchanged, but for those that look like ours.
 */
export class StreamIds {
  readonly #keys: SessionKeys;
  readonly #random: Random;

  constructor(keys: SessionKeys, random: Random) {
    this.#keys = keys;
    this.#random = random;
  }

  /** @returns a name for a new stream, and what the ids of its events begin with. */
  mint(session: string): { readonly stream: string; readonly prefix: string } {
    const stream = this.#random.bytes(9).toString('base64url');
    const proof = this.#proof(this.#keys[0], session, stream).toString('base64url');
    return { stream, prefix: `${marker}${stream}.${proof}.` };
  }

  /** @returns undefined for the id of a server; `foreign` for one of ours that is of another session, or made up. */
  read(session: string, id: string): ResumePoint | 'foreign' | undefined {
    if (!id.startsWith(marker)) return undefined;
    const [, stream, proof, position] = pattern.exec(id) ?? [];
    if (stream === undefined || proof === undefined) return 'foreign';
    const given = Buffer.from(proof, 'base64url');
    const isOurs = this.#keys.some((key) => timingSafeEqual(this.#proof(key, session, stream), given));
    return isOurs ? { stream, position: Number(position) } : 'foreign';
  }

  #proof({ key }: SessionKeys[number], session: string, stream: string): Buffer {
    return createHmac('sha256', key).update(`${session}\n${stream}`).digest().subarray(0, proofBytes);
  }
}

/** The id of a server as its client gets it: one that looks like ours, of a gateway behind this one, is marked. */
export function shownServerId(id: string): string {
  return looksLikeOurs(id) ? `${escape}${id}` : id;
}

/** The same, as the server gave it. */
export function ownServerId(id: string): string {
  return id.startsWith(escape) ? id.slice(escape.length) : id;
}

/** Whether a server's id has to be marked. */
export function looksLikeOurs(id: string): boolean {
  return id.startsWith(marker) || id.startsWith(escape);
}

const marker = 'sbe.';
const escape = 'sbu.';
const proofBytes = 12;
/** 12 and 16 characters are 9 and 12 bytes. */
const pattern = /^sbe\.([\w-]{12})\.([\w-]{16})\.(\d{1,15})$/;
