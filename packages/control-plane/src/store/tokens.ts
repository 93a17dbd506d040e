import { timingSafeEqual } from 'node:crypto';

import { operatorScope } from '@signalbox/config';
import type { Clock, Counter, Logger, Metrics, Random, Secret } from '@signalbox/runtime';

import type { NodeAuthenticator, NodeCredentials, NodeIdentity } from '../discovery/node-identity.ts';
import { tenantRights } from '../publish/tenant-rights.ts';
import type { StoreSql } from './connection.ts';
import type { Database, ScopedTransaction } from './database.ts';
import { isOutage } from './outage.ts';
import { RememberedTokens } from './remembered-tokens.ts';
import { TokenChanges } from './token-changes.ts';
import { newToken, tokenHash, tokenId } from './token-format.ts';

export const tokenRoles = ['operator', 'tenant-admin', 'developer', 'auditor', 'node', 'relay'] as const;
export type TokenRole = (typeof tokenRoles)[number];

/** `bearer`: a credential. `join`: buys a node its certificate, once. `certificate`: what such a node may receive. */
export type TokenForm = 'bearer' | 'join' | 'certificate';

/** A credential as it is known to the store: all but the credential itself. */
export interface TokenRecord {
  readonly id: string;
  readonly name: string;
  readonly role: TokenRole;
  /** Empty: not bound to a tenant. */
  readonly tenants: readonly string[];
  /** Labels of further tenants that a node may receive; empty: none, and with `tenants` empty, too, all. */
  readonly selector: string;
  /** Gateway of a node; empty for other roles. */
  readonly gateway: string;
  /** Family of resources that a node is served; empty for other roles. */
  readonly family: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  /** To the minute. */
  readonly lastUsedAt: Date | null;
  readonly form: TokenForm;
  /** The only node that it is for; empty: any of the gateway. */
  readonly node: string;
  /** Serial numbers of the certificates that are good; empty: all of another authority. */
  readonly serials: readonly string[];
  /** Groups of its nodes. */
  readonly groups: readonly string[];
}

export interface NewToken {
  readonly name: string;
  readonly role: TokenRole;
  readonly tenants: readonly string[];
  /** Default: none. */
  readonly selector?: string;
  readonly gateway: string;
  readonly family: string;
  /** Undefined: does not expire. */
  readonly ttlSeconds: number | undefined;
  /** Default: bearer. */
  readonly form?: TokenForm;
  readonly node?: string;
  readonly serials?: readonly string[];
  readonly groups?: readonly string[];
}

export interface TokenStoreOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How often it is asked whether any token has changed: a revocation takes effect within it, in milliseconds. */
  readonly cacheMs: number;
  /** Credentials of which an answer is kept. */
  readonly cacheSize: number;
  /** Tokens that may exist, revoked ones included. */
  readonly maxTokens: number;
}

/** No more tokens may exist. */
export class TooManyTokens extends Error {
  constructor(limit: number) {
    super(`there are ${limit} tokens, which is the limit (SIGNALBOX_TOKENS_MAX): raise it`);
    this.name = 'TooManyTokens';
  }
}

/** What a certificate says that was verified. */
export interface PresentedCertificate {
  readonly gateway: string;
  readonly node: string;
  /** Hex, lower case. */
  readonly serial: string;
}

/** What the store has to know of a certificate that was signed. */
export interface IssuedTo {
  readonly serial: string;
  readonly notAfterMs: number;
}

export interface JoinRequest<T extends IssuedTo> {
  readonly credential: string;
  readonly node: string;
  /** Signs a certificate for the node of a gateway. */
  issue(gateway: string): Promise<T>;
}

/** Why nobody joins: the token is unknown, used or expired; it is for another node; the node's name is in use. */
export type JoinRefusal = 'unknown-token' | 'other-node' | 'name-taken';

interface CachedAnswer {
  record: Promise<TokenRecord | undefined>;
  /** Of all tokens when it was asked for: good until that is another one. */
  readonly state: string;
}

const touchEveryMs = 60_000;
/** How long uses are collected before they are written down. */
const noteUsesMs = 1_000;

/**
 * Credentials of people, scripts and nodes. Every call but authentication runs in the scope that it is given: the
 * operator's sees all tokens, a tenant's those that are bound to it alone.
 */
export class TokenStore implements NodeAuthenticator, NodeCredentials {
  readonly #options: TokenStoreOptions;
  /** By hash of the credential, oldest first. */
  readonly #answers = new Map<string, CachedAnswer>();
  readonly #changes: TokenChanges;
  /** What `remembered` holds: all tokens as of a state. */
  #learned: { readonly state: string; readonly done: Promise<void> } | undefined;
  /** Ids of tokens whose use is not written down yet. */
  readonly #used = new Set<string>();
  /** All tokens that are valid, as of the last look; also for the time in which the database does not answer. */
  readonly remembered: RememberedTokens;
  readonly #fromMemory: Counter;

  constructor(options: TokenStoreOptions) {
    this.#options = options;
    this.#changes = new TokenChanges({ ...options, maxAgeMs: options.cacheMs });
    this.remembered = new RememberedTokens(options.maxTokens);
    this.#fromMemory = options.metrics.counter(
      'signalbox_tokens_from_memory_total',
      'Credentials that were judged from memory because the database did not answer.',
    );
  }

  /** Learns every token that is valid now. @throws if the database does not answer. */
  async remember(): Promise<void> {
    const rows = await this.#options.database.read(
      operatorScope,
      ({ sql }) => sql<(TokenRecord & { hash: Buffer })[]>`select ${columns(sql)}, hash
        from signalbox.token where revoked_at is null`,
    );
    this.remembered.replace(rows.map(({ hash, ...record }) => ({ record, hash })));
  }

  /** Makes sure that the operator's token exists. @throws Error if it is not well formed or was revoked. */
  async ensureBootstrap(credential: Secret): Promise<void> {
    const text = credential.reveal();
    const id = tokenId(text);
    if (id === undefined)
      throw new Error('SIGNALBOX_BOOTSTRAP_TOKEN is not a token: make one with "signalbox token generate"');
    const bootstrap: NewToken = {
      name: 'bootstrap',
      role: 'operator',
      tenants: [],
      gateway: '',
      family: '',
      ttlSeconds: undefined,
    };
    const [row] = await this.#options.database.write(operatorScope, async (tx) => {
      await this.#insert(tx, bootstrap, { id, text: credential });
      return tx.sql<{ hash: Buffer; revoked: boolean }[]>`select hash, revoked_at is not null as revoked
        from signalbox.token where id = ${id}`;
    });
    if (row && !row.revoked && timingSafeEqual(row.hash, tokenHash(text))) return;
    throw new Error(
      'SIGNALBOX_BOOTSTRAP_TOKEN was revoked, or another token has its id: make a new one with "signalbox token generate"',
    );
  }

  /** Creates a token; its credential is returned here and kept nowhere. @throws TooManyTokens */
  async create(scope: string, token: NewToken): Promise<{ record: TokenRecord; credential: Secret }> {
    const { database, maxTokens } = this.#options;
    const [{ count } = { count: 0 }] = await database.read(
      operatorScope,
      ({ sql }) => sql<{ count: number }[]>`select count(*)::integer as count from signalbox.token`,
    );
    if (count >= maxTokens) throw new TooManyTokens(maxTokens);
    return database.write(scope, (tx) => this.#insert(tx, token));
  }

  /** On a database without any token, creates the operator's; undefined on every later start. */
  createFirst(): Promise<Secret | undefined> {
    return this.#options.database.write(operatorScope, async (tx) => {
      // Replicas that start together wait here for each other, so that only one finds no token.
      await tx.sql`select 1 from signalbox.tenant where name = ${operatorScope} for update`;
      const [existing] = await tx.sql`select 1 from signalbox.token limit 1`;
      if (existing) return undefined;
      const none = { tenants: [], gateway: '', family: '', ttlSeconds: undefined };
      const first: NewToken = { name: 'operator', role: 'operator', ...none };
      return (await this.#insert(tx, first)).credential;
    });
  }

  /** All tokens of the scope, revoked ones included, oldest first. */
  list(scope: string): Promise<readonly TokenRecord[]> {
    return this.#options.database.read(
      scope,
      ({ sql }) => sql<TokenRecord[]>`select ${columns(sql)} from signalbox.token order by created_at, id`,
    );
  }

  /** Ends a token; false if the scope has none of this id. Repeating it changes nothing. */
  async revoke(scope: string, id: string): Promise<boolean> {
    const now = new Date(this.#options.clock.now());
    const rows = await this.#options.database.write(
      scope,
      ({ sql }) =>
        sql`update signalbox.token set revoked_at = coalesce(revoked_at, ${now}) where id = ${id} returning id`,
    );
    this.#changes.forget();
    this.remembered.forget(id);
    return rows.length > 0;
  }

  /** The token behind a credential; undefined if it is unknown, expired or revoked. @throws if the store cannot say. */
  async identify(credential: string): Promise<TokenRecord | undefined> {
    const id = tokenId(credential);
    return id === undefined ? undefined : this.byProof(id, tokenHash(credential));
  }

  /** The token of an id, for whoever knows the hash of its credential. */
  async byProof(id: string, hash: Buffer): Promise<TokenRecord | undefined> {
    const record = await this.#cached(hash.toString('hex'), (state) => this.#look(id, hash, state)).catch(
      (error: unknown) => {
        const remembered = isOutage(error) ? this.remembered.find(id, hash) : undefined;
        if (!remembered) throw error;
        this.#fromMemory.add();
        return remembered;
      },
    );
    const now = this.#options.clock.now();
    return record && (record.expiresAt === null || record.expiresAt.getTime() > now) ? record : undefined;
  }

  async authenticate(credential: string): Promise<NodeIdentity | undefined> {
    const record = await this.identify(credential);
    return record && isSubscriber(record.role) && record.form === 'bearer' ? identityOf(record) : undefined;
  }

  async authenticateCertificate(certificate: PresentedCertificate): Promise<NodeIdentity | undefined> {
    const record = await this.byCertificate(certificate);
    return record && { ...identityOf(record), node: certificate.node };
  }

  /** The row that a certificate is good for. */
  async byCertificate({ gateway, node, serial }: PresentedCertificate): Promise<TokenRecord | undefined> {
    const record = await this.#cached(`${gateway}/${node}`, (state) => this.#lookForNode(gateway, node, state)).catch(
      (error: unknown) => {
        if (!isOutage(error)) throw error;
        this.#fromMemory.add();
        return this.remembered.findNode(gateway, node);
      },
    );
    if (!record || (record.expiresAt !== null && record.expiresAt.getTime() <= this.#options.clock.now()))
      return undefined;
    if (record.serials.length > 0 && !record.serials.includes(serial)) return undefined;
    return record;
  }

  /** The row of the node itself, or the one of its gateway. */
  async #lookForNode(gateway: string, node: string, state: string): Promise<TokenRecord | undefined> {
    const record = await this.#find(state, () => this.remembered.findNode(gateway, node));
    return record && this.#touch(record);
  }

  /**
   * Uses a join token up and gives its node a row with the certificate that `issue` signs; all of it or nothing. A node of
   * the same name that has a good certificate is replaced only by a token that is for this very node.
   */
  async join<T extends IssuedTo>(request: JoinRequest<T>): Promise<T | JoinRefusal> {
    const id = tokenId(request.credential);
    if (id === undefined) return 'unknown-token';
    const { database, clock } = this.#options;
    const now = new Date(clock.now());
    const joined = await database.write(operatorScope, async (tx): Promise<T | JoinRefusal> => {
      const [token] = await tx.sql<(TokenRecord & { hash: Buffer })[]>`select ${columns(tx.sql)}, hash
        from signalbox.token where id = ${id} and form = 'join' and revoked_at is null for update`;
      if (!token || !timingSafeEqual(token.hash, tokenHash(request.credential))) return 'unknown-token';
      if (token.expiresAt !== null && token.expiresAt <= now) return 'unknown-token';
      if (token.node !== '' && token.node !== request.node) return 'other-node';
      const [present] = await tx.sql<
        TokenRecord[]
      >`select ${columns(tx.sql)} from signalbox.token where form = 'certificate'
        and gateway = ${token.gateway} and node = ${request.node} and revoked_at is null for update`;
      const isAlive = present !== undefined && (present.expiresAt === null || present.expiresAt > now);
      if (isAlive && token.node === '') return 'name-taken';
      const issued = await request.issue(token.gateway);
      await tx.sql`update signalbox.token set revoked_at = ${now}, last_used_at = ${now} where id = ${token.id}`;
      if (present) await tx.sql`update signalbox.token set revoked_at = ${now} where id = ${present.id}`;
      const { name, role, tenants, selector, gateway, family, groups } = token;
      await this.#insert(tx, {
        ...{ name, role, tenants, selector, gateway, family, groups },
        ttlSeconds: (issued.notAfterMs - now.getTime()) / 1_000,
        ...{ form: 'certificate', node: request.node, serials: [issued.serial] },
      });
      return issued;
    });
    this.#changes.forget();
    return joined;
  }

  /** Notes the next certificate of a node that has joined; the one before stays good. False if the row is gone. */
  async renewed(id: string, { serial, notAfterMs }: IssuedTo): Promise<boolean> {
    const rows = await this.#options.database.write(
      operatorScope,
      ({ sql }) => sql`update signalbox.token set serials = (array[${serial}] || serials)[1:2],
          expires_at = ${new Date(notAfterMs)}
        where id = ${id} and form = 'certificate' and revoked_at is null and serials <> '{}' returning id`,
    );
    this.#changes.forget();
    return rows.length > 0;
  }

  async #cached(
    key: string,
    look: (state: string) => Promise<TokenRecord | undefined>,
  ): Promise<TokenRecord | undefined> {
    const { cacheSize } = this.#options;
    // Before the row: what changes in between makes the next state another one.
    const state = await this.#changes.state();
    const known = this.#answers.get(key);
    if (known?.state === state) return this.#known(known);
    const answer: CachedAnswer = { record: look(state), state };
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > cacheSize && oldest !== undefined) this.#answers.delete(oldest);
    try {
      return await answer.record;
    } catch (error) {
      if (this.#answers.get(key) === answer) this.#answers.delete(key);
      throw error;
    }
  }

  /** The record, with a note of its use from time to time. */
  async #known(answer: CachedAnswer): Promise<TokenRecord | undefined> {
    const record = await answer.record;
    if (record && !isUseNoted(record, this.#options.clock.now())) answer.record = Promise.resolve(this.#touch(record));
    return record;
  }

  async #look(id: string, hash: Buffer, state: string): Promise<TokenRecord | undefined> {
    const record = await this.#find(state, () => this.remembered.find(id, hash));
    return record && record.form !== 'certificate' ? this.#touch(record) : undefined;
  }

  /** What is not known may be younger than the last look: it is asked for once more. */
  async #find(state: string, find: () => TokenRecord | undefined): Promise<TokenRecord | undefined> {
    await this.#learn(state);
    const known = find();
    if (known) return known;
    this.#changes.forget();
    await this.#learn(await this.#changes.state());
    return find();
  }

  /**
   * Reads all tokens when any has changed. A storm of nodes, each with a credential of its own, then costs one read and not
   * one for each.
   */
  async #learn(state: string): Promise<void> {
    if (this.#learned?.state !== state) this.#learned = { state, done: this.remember() };
    const learned = this.#learned;
    try {
      await learned.done;
    } catch (error) {
      if (this.#learned === learned) this.#learned = undefined;
      throw error;
    }
  }

  /** Notes that a token is used, at most once a minute; many are written down together. A token works without that. */
  #touch(record: TokenRecord): TokenRecord {
    const { clock } = this.#options;
    const now = clock.now();
    if (isUseNoted(record, now)) return record;
    if (this.#used.size === 0) clock.timer(noteUsesMs, () => void this.#noteUses());
    this.#used.add(record.id);
    return { ...record, lastUsedAt: new Date(now) };
  }

  async #noteUses(): Promise<void> {
    const { database, clock, logger } = this.#options;
    const ids = [...this.#used];
    this.#used.clear();
    try {
      await database.write(
        operatorScope,
        ({ sql }) => sql`update signalbox.token set last_used_at = ${new Date(clock.now())}
          where id in (select jsonb_array_elements_text(${sql.json(ids)}::jsonb))`,
      );
    } catch (error) {
      logger.warn('last use of tokens could not be recorded', { count: ids.length, error: String(error) });
    }
  }

  async #insert(
    { sql }: ScopedTransaction,
    token: NewToken,
    { id, text } = newToken(this.#options.random),
  ): Promise<{ record: TokenRecord; credential: Secret }> {
    const { clock } = this.#options;
    const createdAt = new Date(clock.now());
    const expiresAt = token.ttlSeconds === undefined ? null : new Date(createdAt.getTime() + token.ttlSeconds * 1_000);
    const { form = 'bearer', node = '', serials = [], selector = '' } = token;
    await sql`insert into signalbox.token
      (id, name, role, form, node, serials, tenants, selector, gateway, family, hash, created_at, expires_at)
      values (${id}, ${token.name}, ${token.role}, ${form}, ${node},
        array(select jsonb_array_elements_text(${sql.json([...serials])}::jsonb)),
        array(select jsonb_array_elements_text(${sql.json([...token.tenants])}::jsonb)), ${selector}, ${token.gateway},
        ${token.family}, ${tokenHash(text.reveal())}, ${createdAt}, ${expiresAt}) on conflict (id) do nothing`;
    const { groups = [] } = token;
    if (groups.length > 0) {
      await sql`update signalbox.token set groups = array(select jsonb_array_elements_text(${sql.json([...groups])}::jsonb))
        where id = ${id} and created_at = ${createdAt}`;
    }
    const { name, role, tenants, gateway, family } = token;
    const record: TokenRecord = {
      ...{ id, name, role, tenants, selector, gateway, family, createdAt, expiresAt, form, node, serials, groups },
      revokedAt: null,
      lastUsedAt: null,
    };
    return { record, credential: text };
  }
}

/** Roles that subscribe to discovery. */
export function isSubscriber(role: TokenRole): boolean {
  return role === 'node' || role === 'relay';
}

/** Streams ask again and again who they are. */
const identities = new WeakMap<TokenRecord, NodeIdentity>();

/** Who a subscriber is that shows a credential. The same object for the same record. */
export function identityOf(record: TokenRecord): NodeIdentity {
  const known = identities.get(record);
  if (known) return known;
  const identity = readIdentity(record);
  identities.set(record, identity);
  return identity;
}

function readIdentity(record: TokenRecord): NodeIdentity {
  const { id, name, role, gateway, family, tenants, selector, groups } = record;
  const rights = tenantRights(tenants, selector);
  const seen = { node: undefined, family: family || 'native', tenants: rights };
  return { tokenId: id, name, gateway, ...seen, isRelay: role === 'relay', ...(groups.length > 0 && { groups }) };
}

function isUseNoted({ lastUsedAt }: TokenRecord, nowMs: number): boolean {
  return lastUsedAt !== null && nowMs - lastUsedAt.getTime() < touchEveryMs;
}

function columns(sql: StoreSql) {
  return sql`id, name, role, to_jsonb(tenants) as tenants, selector, gateway, family, created_at as "createdAt", expires_at as "expiresAt",
    revoked_at as "revokedAt", last_used_at as "lastUsedAt", form, node, to_jsonb(serials) as serials, to_jsonb(groups) as groups`;
}
