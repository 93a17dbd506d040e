import type { Random } from '@signalbox/runtime';

/**
 * Mints the ids that requests have on the upstream leg, as JSON string tokens. A client's own id is never used there:
 * clients repeat ids, and several of them may share one upstream.
 *
 * A minted id carries the client's id, so that an answer that comes much later, replayed on a GET stream and perhaps
 * through another node, can still be given back under the id that its client waits for.
 */
export class RequestIds {
  /** Differs between processes, so that no two nodes mint the same id. */
  readonly #prefix: string;
  #count = 0;

  constructor(random: Random) {
    this.#prefix = `"${marker}${random.bytes(6).toString('base64url')}.`;
  }

  /** @param bytes,start,end where the client's id stands, as raw JSON. @returns raw JSON: quotes included, ASCII. */
  mint(bytes: Buffer, start: number, end: number): string {
    this.#count += 1;
    return `${this.#prefix}${this.#count.toString(36)}.${bytes.toString('base64url', start, end)}"`;
  }
}

/** What every minted id starts with, for a quick look whether there can be one. */
export const mintedMarker = '"sb.';

/** The raw JSON of the client's id within a minted id; undefined if `id` was not minted by a gateway. */
export function clientIdOf(id: string): string | undefined {
  const encoded = minted.exec(id)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64url').toString('utf8');
  return clientId.test(text) ? text : undefined;
}

const marker = 'sb.';
const minted = /^"sb\.[\w-]{8}\.[0-9a-z]+\.([\w-]+)"$/;
const clientId = /^(?:-?\d+|"[^\n\r]*")$/;
