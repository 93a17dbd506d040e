import type { RecordKey, StreamKey } from '../shared-state.ts';

/**
 * Every name that stands in Redis. Parts are encoded so that none of them can reach into the next: the keys of two
 * tenants are never equal, whatever they are called.
 */
export class RedisKeys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  record({ tenant, session }: RecordKey): string {
    return this.#of('t', tenant, 'session', session);
  }

  /** What a stream is about. */
  about({ tenant, session, stream }: StreamKey): string {
    return this.#of('t', tenant, 'about', session, stream);
  }

  /** Its events; also the channel on which readers are told that there are more. */
  events({ tenant, session, stream }: StreamKey): string {
    return this.#of('t', tenant, 'events', session, stream);
  }

  /** The lease of a node. */
  node(node: string): string {
    return this.#of('node', node);
  }

  /** Channel of letters to one node. */
  mail(node: string): string {
    return this.#of('mail', node);
  }

  /** Channel of letters to all nodes. */
  get mailToAll(): string {
    return this.#of('mail-to-all');
  }

  /** Names of ended sessions; also the channel on which nodes are told that there are more. */
  get endings(): string {
    return this.#of('endings');
  }

  #of(...parts: readonly string[]): string {
    return this.#prefix + parts.map((part) => encodeURIComponent(part)).join(':');
  }
}
