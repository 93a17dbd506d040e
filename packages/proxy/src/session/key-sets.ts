import type { JwtVerifierConfig } from '@signalbox/config';
import type { Clock, Logger } from '@signalbox/runtime';
import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { collect } from '../upstream/collect.ts';
import type { Upstream } from '../upstream/upstream.ts';

export interface KeySetsOptions {
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: KeySetLimits;
}

/** Bounds of the key sets; see `RequestLimits` for what each means. */
interface KeySetLimits {
  readonly keySets: number;
  readonly keySetBytes: number;
  readonly keySetKeys: number;
  readonly keySetRefetchMs: number;
  readonly keySetFreshMs: number;
  readonly keySetStaleMs: number;
  readonly connectMs: number;
  readonly headMs: number;
  readonly idleMs: number;
}

/** Finds the key of a token among the keys of a set. Rejects when none fits. */
export type FindKey = ReturnType<typeof createLocalJWKSet>;

/** One issuer's keys: fetched once at a time, not too often, and served stale for a while when they cannot be. */
export class KeySet {
  readonly #source: JwtVerifierConfig['jwks'];
  readonly #poolKey: string;
  readonly #options: KeySetsOptions;
  #keys: FindKey | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;

  constructor(source: JwtVerifierConfig['jwks'], poolKey: string, options: KeySetsOptions) {
    this.#source = source;
    this.#poolKey = poolKey;
    this.#options = options;
    if ('inline' in source) this.#accept(source.inline);
  }

  /** The present keys; undefined when there are none that may still be used. */
  async keys(): Promise<FindKey | undefined> {
    if ('inline' in this.#source) return this.#keys;
    const { clock, limits } = this.#options;
    const age = clock.monotonic() - this.#fetchedAt;
    if (age >= limits.keySetFreshMs) {
      const fetched = this.#fetch();
      if (!this.#keys || age >= limits.keySetStaleMs) await fetched;
    }
    return clock.monotonic() - this.#fetchedAt < limits.keySetStaleMs ? this.#keys : undefined;
  }

  /** Fetches again for a token whose key is not there: its issuer may have a new one. @returns the keys after that. */
  async renew(): Promise<FindKey | undefined> {
    if ('uri' in this.#source) await this.#fetch();
    return this.#keys;
  }

  #fetch(): Promise<void> {
    if (this.#fetching) return this.#fetching;
    const { clock, limits } = this.#options;
    if (clock.monotonic() - this.#triedAt < limits.keySetRefetchMs) return Promise.resolve();
    this.#triedAt = clock.monotonic();
    this.#fetching = this.#download().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #download(): Promise<void> {
    const { uri } = this.#source as { uri: string };
    const { upstream, limits, logger, clock } = this.#options;
    const { origin, pathname, search } = new URL(uri);
    const { connectMs, headMs, idleMs } = limits;
    const request = {
      ...{ origin, poolKey: this.#poolKey, method: 'GET', target: pathname + search, body: undefined },
      ...{ headers: ['Accept', 'application/jwk-set+json, application/json'], safeToResend: true },
      timeouts: { connectMs, headMs, idleMs, totalMs: headMs },
    };
    const outcome = await collect(upstream, request, limits.keySetBytes);
    if ('failure' in outcome) return logger.warn('a key set cannot be fetched', { uri, reason: outcome.failure });
    const { head, body } = outcome.answer;
    if (head.status !== 200) return logger.warn('a key set cannot be fetched', { uri, status: head.status });
    if (this.#accept(body.toString('utf8'))) this.#fetchedAt = clock.monotonic();
    else logger.warn('a key set cannot be used', { uri, limit: limits.keySetKeys });
  }

  #accept(text: string): boolean {
    const found = parseKeySet(text, this.#options.limits.keySetKeys);
    if (!found) return false;
    this.#keys = createLocalJWKSet(found);
    return true;
  }
}

function parseKeySet(text: string, maxKeys: number): JSONWebKeySet | undefined {
  try {
    const value = JSON.parse(text) as { keys?: unknown };
    if (!Array.isArray(value.keys) || value.keys.length > maxKeys) return undefined;
    return { keys: value.keys as JSONWebKeySet['keys'] };
  } catch {
    return undefined;
  }
}

/** Key sets by tenant and value of their configuration: they outlive tables, and no tenant sees another's. */
export class KeySets {
  readonly #options: KeySetsOptions;
  readonly #sets = new Map<string, KeySet>();

  constructor(options: KeySetsOptions) {
    this.#options = options;
  }

  of(tenant: string, verifier: JwtVerifierConfig): KeySet {
    const source = verifier.jwks;
    const key = `${tenant}\n${'uri' in source ? source.uri : source.inline}`;
    const known = this.#sets.get(key);
    if (known) return known;
    const oldest = this.#sets.keys().next();
    if (this.#sets.size >= this.#options.limits.keySets && !oldest.done) this.#sets.delete(oldest.value);
    const added = new KeySet(source, `${tenant} keys`, this.#options);
    this.#sets.set(key, added);
    return added;
  }
}
