import { createHash } from 'node:crypto';
import type { Random } from '@signalbox/runtime';
import type { RecordKey } from '../../nodes/shared-state.ts';
import type { BridgeContext } from '../bridge-context.ts';
import type { BridgedCall } from './call.ts';
import type { BridgedStream } from './stream.ts';

/** What a legacy client said in `initialize`, which every request to a modern server says again. */
export interface ClientFacts {
  /** Legacy revision that was negotiated with the client. */
  readonly version: string;
  /** Raw JSON of what the client can do. */
  readonly capabilities: string;
  /** Raw JSON of who the client is. */
  readonly clientInfo: string;
}

const mark = 'sbb.';

/**
 * The id of a session that exists only at the gateway. It carries all that is needed, so any node can go on with it; it
 * reaches clients only sealed in the gateway's own session id.
 */
export function bridgedSessionId({ version, capabilities, clientInfo }: ClientFacts, random: Random): string {
  const fields = [version, capabilities, clientInfo, random.bytes(12).toString('base64url')];
  return mark + Buffer.from(JSON.stringify(fields), 'utf8').toString('base64url');
}

/** @returns undefined for ids that servers gave. */
function readBridgedSessionId(id: string): ClientFacts | undefined {
  if (!id.startsWith(mark)) return undefined;
  try {
    const fields = JSON.parse(Buffer.from(id.slice(mark.length), 'base64url').toString('utf8')) as unknown;
    if (!Array.isArray(fields)) return undefined;
    const [version, capabilities, clientInfo] = fields as readonly unknown[];
    if (typeof version !== 'string' || typeof capabilities !== 'string' || typeof clientInfo !== 'string') {
      return undefined;
    }
    return { version, capabilities, clientInfo };
  } catch {
    return undefined;
  }
}

/** A bridged session as this node knows it. What its client sets is told to other nodes. */
export class BridgedSession {
  readonly id: string;
  readonly key: RecordKey;
  readonly facts: ClientFacts;
  /** Until it is known what the client has set at other nodes. */
  recalling: Promise<void> | undefined;
  /** Raw JSON of the level that the client set; log messages are asked for from then on. */
  level: string | undefined;
  /** Resources that the client has subscribed to. */
  readonly subscriptions = new Set<string>();
  /** Calls under way, by the raw JSON of the id that the client's side gave them. */
  readonly running = new Map<string, BridgedCall>();
  /** Questions to the client that wait for an answer, by the raw JSON of their id. */
  readonly asked = new Map<string, BridgedCall>();
  readonly streams = new Set<BridgedStream>();

  constructor(id: string, tenant: string, facts: ClientFacts) {
    this.id = id;
    this.key = { tenant, session: `bridged-${createHash('sha256').update(id).digest('base64url')}` };
    this.facts = facts;
  }

  /** Takes over what the client has set at another node. */
  adopt({ level, subscriptions }: ClientSettings): void {
    this.level = level ?? undefined;
    const before = [...this.subscriptions];
    this.subscriptions.clear();
    for (const uri of subscriptions) this.subscriptions.add(uri);
    const isSame = before.length === subscriptions.length && before.every((uri) => this.subscriptions.has(uri));
    if (!isSame) for (const stream of this.streams) stream.listenAnew();
  }

  /** Ends everything that is under way. */
  close(): void {
    for (const call of this.running.values()) call.cancel();
    for (const stream of this.streams) stream.finish();
  }
}

/** What a client sets in a session. */
interface ClientSettings {
  /** Raw JSON; null for none. */
  readonly level: string | null;
  readonly subscriptions: readonly string[];
}

/**
 * Bridged sessions by id; the oldest ones give way. What a client sets at one node reaches the others that know the
 * session at once, and those that see it later when they do.
 */
export class BridgedSessions {
  readonly #context: BridgeContext;
  readonly #sessions = new Map<string, BridgedSession>();

  constructor(context: BridgeContext) {
    this.#context = context;
    context.nodeCalls.hear(kind, (text) => {
      const [id, settings] = JSON.parse(text) as [string, ClientSettings];
      this.#sessions.get(id)?.adopt(settings);
    });
  }

  /** @returns undefined for ids that servers gave. */
  of(id: string, tenant: string): BridgedSession | undefined {
    const known = this.#sessions.get(id);
    if (known) return known;
    const facts = readBridgedSessionId(id);
    if (!facts) return undefined;
    const oldest = this.#sessions.keys().next();
    const { sessions } = this.#context.limits.bridge;
    if (this.#sessions.size >= sessions && !oldest.done) this.forget(oldest.value);
    const session = new BridgedSession(id, tenant, facts);
    this.#sessions.set(id, session);
    session.recalling = this.#recall(session);
    return session;
  }

  /** The client sets something: at once, or as soon as it is known what it had set before. */
  change(session: BridgedSession, edit: () => void): void {
    const apply = (): void => {
      edit();
      this.#share(session);
    };
    if (session.recalling) void session.recalling.then(apply);
    else apply();
  }

  /** What this node remembers of it, if anything. */
  known(id: string): BridgedSession | undefined {
    return this.#sessions.get(id);
  }

  /** The session is over. */
  end(id: string): void {
    const session = this.#sessions.get(id);
    if (session) void this.#context.state.records.delete(session.key);
    this.forget(id);
  }

  /** This node has nothing to do with the session any more. */
  forget(id: string): void {
    this.#sessions.get(id)?.close();
    this.#sessions.delete(id);
  }

  #share({ id, key, level, subscriptions }: BridgedSession): void {
    const { state, nodeCalls, limits } = this.#context;
    const settings: ClientSettings = { level: level ?? null, subscriptions: [...subscriptions] };
    // A node that sees the session later knows less when this cannot be kept.
    state.records.put(key, JSON.stringify(settings), limits.sessionMs).catch(() => undefined);
    nodeCalls.tell(kind, JSON.stringify([id, settings]));
  }

  async #recall(session: BridgedSession): Promise<void> {
    const text = await this.#context.state.records.get(session.key).catch(() => undefined);
    if (text !== undefined) session.adopt(JSON.parse(text) as ClientSettings);
    session.recalling = undefined;
  }
}

const kind = 'bridged-session';
