import { createHash } from 'node:crypto';
import { memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import { legacyCodec } from '../../mcp/codec/rev2025-11-25.ts';
import type { UpstreamError, UpstreamHandler, UpstreamHead, UpstreamRequest } from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import type { Claims } from './to-legacy-request.ts';

/** A session at a legacy server that requests of modern clients share. */
export interface LegacySession {
  /** The server's name of it; empty when the server keeps none. */
  readonly id: string;
  readonly version: string;
  /** What the server said to `initialize`. */
  readonly greeting: ScannedMessage;
  /** Of a POST in it. */
  readonly headers: readonly string[];
  /** The server has been told to log. */
  logs: boolean;
}

/** Where a session is, and for whom: equal parts share one, since capabilities are fixed when it begins. */
export interface SessionPlace {
  readonly request: Pick<UpstreamRequest, 'origin' | 'poolKey' | 'target' | 'timeouts' | 'peer'>;
  /** Whose requests they are. */
  readonly caller: string;
  readonly claims: Claims;
}

interface Pooled {
  readonly key: string;
  readonly place: SessionPlace;
  session: LegacySession | undefined;
  opening: Promise<LegacySession | UpstreamError> | undefined;
  usedAtMs: number;
}

/**
 * Sessions at legacy servers, begun when they are first needed and ended when nobody has used them for a while. One per
 * server, caller and capabilities; the one that was used longest ago gives way.
 */
export class LegacySessions {
  readonly #context: BridgeContext;
  readonly #pool = new Map<string, Pooled>();
  #sweep: Disposable | undefined;
  /** Servers that have been told, and have not answered yet. */
  readonly #ending = new Set<Promise<unknown>>();

  constructor(context: BridgeContext) {
    this.#context = context;
  }

  /** The shared session, or why there is none. Callers at the same time share one beginning. */
  shared(place: SessionPlace): LegacySession | Promise<LegacySession | UpstreamError> {
    const { origin, target, poolKey } = place.request;
    const parts = [poolKey, origin, target, place.caller, place.claims.capabilities, place.claims.clientInfo];
    const key = createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
    const pooled = this.#pool.get(key) ?? this.#add(key, place);
    pooled.usedAtMs = this.#context.clock.monotonic();
    if (pooled.session) return pooled.session;
    pooled.opening ??= this.open(place).then((opened) => {
      pooled.opening = undefined;
      if (!('code' in opened)) pooled.session = opened;
      else if (this.#pool.get(key) === pooled) this.#pool.delete(key);
      return opened;
    });
    return pooled.opening;
  }

  /** The server has forgotten the session. */
  lost(session: LegacySession): void {
    for (const pooled of this.#pool.values()) if (pooled.session === session) pooled.session = undefined;
  }

  /** A session of its own, which its owner ends. */
  async open({ request, claims }: SessionPlace): Promise<LegacySession | UpstreamError> {
    const [version = ''] = legacyCodec.versions;
    const { capabilities, clientInfo } = claims;
    const params = `{"protocolVersion":${JSON.stringify(version)},"capabilities":${capabilities},"clientInfo":${clientInfo}}`;
    const id = `"${this.#context.random.bytes(9).toString('base64url')}"`;
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"initialize","params":${params}}`);
    const answer = await this.ask({ ...request, method: 'POST', headers: baseHeaders, body, safeToResend: false });
    if ('code' in answer) return answer;
    const session = sessionOf(answer.message, answer.head);
    if (!session) return { code: 'protocol', message: 'the server refused initialize', notAccepted: true };
    await this.say(session, request, 'notifications/initialized');
    return session;
  }

  /** Sends a notification in a session; what becomes of it does not matter. */
  async say(session: LegacySession, request: SessionPlace['request'], method: string, params?: string): Promise<void> {
    const more = params === undefined ? '' : `,"params":${params}`;
    const body = Buffer.from(`{"jsonrpc":"2.0","method":"${method}"${more}}`);
    await this.ask({ ...request, method: 'POST', headers: session.headers, body, safeToResend: false });
  }

  /** Asks the server something within a session, or answers it. */
  ask(request: UpstreamRequest): Promise<{ message: ScannedMessage; head: UpstreamHead } | UpstreamError> {
    return new Promise((resolve) => {
      const exchange = this.#context.upstream.dispatch(
        request,
        this.#reading(resolve, () => exchange.abort()),
      );
    });
  }

  /** Ends a session at its server. */
  end({ id, version }: LegacySession, request: SessionPlace['request']): void {
    if (id === '') return;
    const headers = ['Mcp-Session-Id', id, 'MCP-Protocol-Version', version];
    const told = this.ask({ ...request, method: 'DELETE', headers, body: undefined, safeToResend: false });
    this.#ending.add(told);
    void told.finally(() => this.#ending.delete(told));
  }

  /** The node stops: ends all of them. Resolves when the servers have answered. */
  async leave(): Promise<void> {
    for (const pooled of this.#pool.values()) {
      if (pooled.opening) await pooled.opening;
      this.#drop(pooled);
    }
    await Promise.all(this.#ending);
  }

  #reading(
    resolve: (answer: { message: ScannedMessage; head: UpstreamHead } | UpstreamError) => void,
    stop: () => void,
  ): UpstreamHandler {
    const listener: AnswerListener = {
      onMessage: () => undefined,
      onAnswer: (message, head) => {
        resolve({ message, head });
        queueMicrotask(stop);
      },
      onOther: ({ status }) => resolve({ code: 'protocol', message: `status ${status}`, notAccepted: status >= 400 }),
      onBroken: resolve,
    };
    return new ServerAnswer(listener, this.#context.limits);
  }

  #add(key: string, place: SessionPlace): Pooled {
    const { limits, clock } = this.#context;
    if (this.#pool.size >= limits.bridge.sessions) this.#drop([...this.#pool.values()].reduce(older));
    const added: Pooled = {
      key,
      place: { ...place, request: endpointOf(place.request) },
      session: undefined,
      opening: undefined,
      usedAtMs: clock.monotonic(),
    };
    this.#pool.set(key, added);
    this.#sweep ??= clock.interval(Math.max(1_000, limits.bridge.idleMs / 4), () => this.#dropIdle());
    return added;
  }

  #dropIdle(): void {
    const before = this.#context.clock.monotonic() - this.#context.limits.bridge.idleMs;
    for (const pooled of this.#pool.values()) if (pooled.usedAtMs < before) this.#drop(pooled);
    if (this.#pool.size > 0) return;
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
  }

  #drop(pooled: Pooled): void {
    this.#pool.delete(pooled.key);
    if (pooled.session) this.end(pooled.session, pooled.place.request);
  }
}

/** Where the session is, without what a request of it was about. */
function endpointOf({ origin, poolKey, target, timeouts, peer }: SessionPlace['request']): SessionPlace['request'] {
  return { origin, poolKey, target, timeouts, ...(peer === undefined ? {} : { peer }) };
}

function older(a: Pooled, b: Pooled): Pooled {
  return b.usedAtMs < a.usedAtMs ? b : a;
}

const baseHeaders: readonly string[] = [
  ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
];

function sessionOf(greeting: ScannedMessage, head: UpstreamHead): LegacySession | undefined {
  const { bytes, result } = greeting;
  const span = result && memberValue(bytes, result, 'protocolVersion');
  const version = (span && stringValue(bytes, span)) ?? '';
  if (!legacyCodec.versions.includes(version)) return undefined;
  const id = head.header('mcp-session-id') ?? '';
  const named = id === '' ? [] : ['Mcp-Session-Id', id];
  return { id, version, greeting, headers: [...baseHeaders, 'MCP-Protocol-Version', version, ...named], logs: false };
}

/** Whether the server has a capability. */
export function hasCapability({ greeting: { bytes, result } }: LegacySession, name: string): boolean {
  const capabilities = result && memberValue(bytes, result, 'capabilities');
  return capabilities !== undefined && memberValue(bytes, capabilities, name) !== undefined;
}

/** The message, of bytes that are one. */
export function readMessage(bytes: Buffer, limits: BridgeContext['limits']): ScannedMessage | undefined {
  const scanned = scanBody(bytes, limits.responseScan);
  return scanned.kind === 'message' ? scanned.message : undefined;
}
