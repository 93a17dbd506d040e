import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { IdentifyNodeResponse } from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import type { Clock, Counter, Metrics } from '@signalbox/runtime';

import type { NodeAuthenticator, NodeCredentials, NodeIdentity } from '../discovery/node-identity.ts';
import { RememberedTokens } from '../store/remembered-tokens.ts';
import { tokenHash, tokenId } from '../store/token-format.ts';
import { identityOf, isSubscriber, type PresentedCertificate, type TokenRecord } from '../store/tokens.ts';
import { type RelayClient, UpstreamUnavailable } from './relay-client.ts';

export interface UpstreamCredentialsOptions {
  readonly client: Pick<RelayClient, 'identify'>;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly metrics: Metrics;
  /** How long an answer is reused, in milliseconds: a revocation takes effect within it. */
  readonly cacheMs: number;
  /** Credentials of which an answer is kept. */
  readonly cacheSize: number;
  /** Credentials that are remembered for the time in which the upstream does not answer. */
  readonly maxRemembered: number;
}

interface Answer {
  readonly record: Promise<TokenRecord | undefined>;
  readonly untilMs: number;
}

/** In the record of a credential that covers no tenant that this relay may have: no tenant has such a name. */
const nobody = '';
/** In place of the hash of a credential. */
const nothing = Buffer.alloc(0);

/**
 * Who nodes are, as the upstream says: the credential itself stays here, only its hash is sent. While the upstream does not
 * answer, credentials are good that it has confirmed before.
 */
export class UpstreamCredentials implements NodeAuthenticator, NodeCredentials {
  readonly remembered: RememberedTokens;
  readonly #options: UpstreamCredentialsOptions;
  /** Oldest first. */
  readonly #answers = new Map<string, Answer>();
  readonly #fromMemory: Counter;

  constructor(options: UpstreamCredentialsOptions) {
    this.#options = options;
    this.remembered = new RememberedTokens(options.maxRemembered);
    this.#fromMemory = options.metrics.counter(
      'signalbox_tokens_from_memory_total',
      'Credentials that were judged from memory because the upstream did not answer.',
    );
  }

  async authenticate(token: string): Promise<NodeIdentity | undefined> {
    const id = tokenId(token);
    const record = id === undefined ? undefined : await this.byProof(id, tokenHash(token));
    return record && isSubscriber(record.role) ? identityOf(record) : undefined;
  }

  async authenticateCertificate(certificate: PresentedCertificate): Promise<NodeIdentity | undefined> {
    const record = await this.byCertificate(certificate);
    return record && { ...identityOf(record), node: certificate.node };
  }

  byProof(id: string, hash: Buffer): Promise<TokenRecord | undefined> {
    return this.#ask(`${id} ${hash.toString('hex')}`, {
      ask: () => this.#options.client.identify({ case: 'token', value: { id, hash } }),
      learn: (record) => this.remembered.learn({ record, hash }),
      recall: () => this.remembered.find(id, hash),
      forget: () => {
        if (this.remembered.find(id, hash)) this.remembered.forget(id);
      },
      form: { form: 'bearer', node: '' },
    });
  }

  byCertificate({ gateway, node, serial }: PresentedCertificate): Promise<TokenRecord | undefined> {
    // Many certificates may have one row: each is remembered by itself.
    const own = `certificate ${gateway}/${node} ${serial}`;
    const recall = () => {
      const record = this.remembered.find(own, nothing);
      return record && { ...record, id: record.serials[0] ?? '' };
    };
    return this.#ask(`${gateway}/${node} ${serial}`, {
      ask: () => this.#options.client.identify({ case: 'certificate', value: { gateway, node, serial } }),
      learn: (record) => this.remembered.learn({ record: { ...record, id: own, serials: [record.id] }, hash: nothing }),
      recall,
      forget: () => this.remembered.forget(own),
      form: { form: 'certificate', node },
    });
  }

  /** Answers are reused for a while. @throws UpstreamUnavailable if nobody can say. */
  async #ask(key: string, question: Question): Promise<TokenRecord | undefined> {
    const { clock, cacheMs, cacheSize } = this.#options;
    const known = this.#answers.get(key);
    const answer =
      known && known.untilMs > clock.monotonic()
        ? known
        : { record: this.#look(question), untilMs: clock.monotonic() + cacheMs };
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > cacheSize && oldest !== undefined) this.#answers.delete(oldest);
    try {
      const record = await answer.record;
      return record && (record.expiresAt === null || record.expiresAt.getTime() > clock.now()) ? record : undefined;
    } catch (error) {
      if (this.#answers.get(key) === answer) this.#answers.delete(key);
      throw error;
    }
  }

  async #look({ ask, learn, recall, forget, form }: Question): Promise<TokenRecord | undefined> {
    try {
      const found = await ask();
      if (!found) forget();
      const record = found && recordOf(found, form);
      if (record) learn(record);
      return record;
    } catch (error) {
      const record = error instanceof UpstreamUnavailable ? recall() : undefined;
      if (!record) throw error;
      this.#fromMemory.add();
      return record;
    }
  }
}

interface Question {
  readonly ask: () => Promise<IdentifyNodeResponse | undefined>;
  readonly learn: (record: TokenRecord) => void;
  readonly recall: () => TokenRecord | undefined;
  readonly forget: () => void;
  readonly form: Pick<TokenRecord, 'form' | 'node'>;
}

function recordOf(answer: IdentifyNodeResponse, form: Question['form']): TokenRecord {
  const {
    tokenId: id,
    name,
    gateway,
    family,
    allTenants,
    tenants,
    tenantSelector: selector,
    expiresAt,
    relay,
  } = answer;
  // No tenant at all must not look like all of them.
  const names = allTenants || selector !== '' || tenants.length > 0 ? tenants : [nobody];
  return {
    ...{ id, name, gateway, family, selector, ...form },
    role: relay ? 'relay' : 'node',
    tenants: names,
    serials: [],
    // Nodes below a relay have what the relay has, whatever groups they are in.
    groups: [],
    createdAt: new Date(0),
    expiresAt: expiresAt ? timestampDate(expiresAt) : null,
    revokedAt: null,
    lastUsedAt: null,
  };
}
