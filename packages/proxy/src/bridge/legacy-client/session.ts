import type { Random } from '@signalbox/runtime';
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

/** A bridged session as this node knows it. What the client has set here is lost with the node. */
export class BridgedSession {
  readonly facts: ClientFacts;
  /** Raw JSON of the level that the client set; log messages are asked for from then on. */
  level: string | undefined;
  /** Resources that the client has subscribed to. */
  readonly subscriptions = new Set<string>();
  /** Calls under way, by the raw JSON of the id that the client's side gave them. */
  readonly running = new Map<string, BridgedCall>();
  /** Questions to the client that wait for an answer, by the raw JSON of their id. */
  readonly asked = new Map<string, BridgedCall>();
  readonly streams = new Set<BridgedStream>();

  constructor(facts: ClientFacts) {
    this.facts = facts;
  }

  /** Ends everything that is under way. */
  close(): void {
    for (const call of this.running.values()) call.cancel();
    for (const stream of this.streams) stream.finish();
  }
}

/** Bridged sessions by id; the ones that were used longest ago give way. */
export class BridgedSessions {
  readonly #sessions = new Map<string, BridgedSession>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns undefined for ids that servers gave. */
  of(id: string): BridgedSession | undefined {
    const known = this.#sessions.get(id);
    if (known) return known;
    const facts = readBridgedSessionId(id);
    if (!facts) return undefined;
    const oldest = this.#sessions.keys().next();
    if (this.#sessions.size >= this.#max && !oldest.done) this.end(oldest.value);
    const session = new BridgedSession(facts);
    this.#sessions.set(id, session);
    return session;
  }

  /** What this node remembers of it, if anything. */
  known(id: string): BridgedSession | undefined {
    return this.#sessions.get(id);
  }

  end(id: string): void {
    this.#sessions.get(id)?.close();
    this.#sessions.delete(id);
  }
}
