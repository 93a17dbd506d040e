import type { Random } from '@signalbox/runtime';
import { Seal } from '../../session/seal.ts';
import type { SessionKeys } from '../../session/session-keys.ts';

/**
 * What stands in Redis is sealed with the keys of the fleet, each text for its place: who can only reach Redis reads
 * nothing, and what he puts there, or moves to another place, does not open.
 */
export class RedisSeal {
  readonly #seal: Seal;

  constructor(keys: SessionKeys, random: Random) {
    this.#seal = new Seal(keys, random, 'redis');
  }

  seal(place: string, text: string): string {
    return this.#seal.seal(`${place}\n${text}`);
  }

  /** @returns undefined for everything that was not sealed for this place. */
  open(place: string, letter: string): string | undefined {
    const text = this.#seal.open(letter);
    return text?.startsWith(`${place}\n`) === true ? text.slice(place.length + 1) : undefined;
  }
}
