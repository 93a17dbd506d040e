import { memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import type { Services } from '../mcp/services.ts';
import type { MemberFacts } from '../session/sealed-session.ts';
import type { UpstreamError, UpstreamHead } from '../upstream/upstream.ts';
import { type Asked, askMember } from './ask-member.ts';
import { breakerOpen, inQuarantine } from './member-health.ts';
import type { FederatedSession } from './federated-session.ts';
import type { Access, MemberLeg, MemberRequest, MemberState } from './member-leg.ts';

/** A member's answer to `initialize`. */
export interface Greeting {
  readonly bytes: Buffer;
  readonly result: Span;
}

/**
 * The legacy leg: a client's session at one member. It begins when it is first needed, once however many need it at a
 * time, and again when the member has lost it; then the member hears again what the client had set.
 */
export class MemberSession implements MemberLeg {
  #state: MemberState;
  readonly #services: Services;
  readonly #of: FederatedSession;
  #opened: OpenedSession | undefined;
  #opening: Promise<OpenedSession | UpstreamError> | undefined;
  #greeting: Greeting | undefined;
  /** URIs that the client has subscribed to, as the member has them. */
  readonly #subscriptions = new Set<string>();

  constructor(services: Services, state: MemberState, of: FederatedSession, sealed: MemberFacts | undefined) {
    this.#services = services;
    this.#state = state;
    this.#of = of;
    this.#opened = sealed && new OpenedSession(sealed.id, sealed.version);
  }

  /** The member as the newest table has it that was spoken of. */
  get state(): MemberState {
    return this.#state;
  }

  /** It is spoken of as another table has it. */
  stands(state: MemberState): void {
    this.#state = state;
  }

  get begun(): boolean {
    return this.#opened !== undefined;
  }

  get opened(): OpenedSession | undefined {
    return this.#opened;
  }

  /** What the member said to `initialize`; undefined when another node asked it. */
  get greeting(): Greeting | undefined {
    return this.#greeting;
  }

  access(): Access | Promise<Access | UpstreamError> {
    if (this.#opened) return this.#opened;
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  /** 404 is how a member says that it does not know the session; some say 400 and name the session. */
  verdict({ status }: UpstreamHead, { session }: Access): 'lost' | 'ask-body' | 'fine' {
    if (session === '') return 'fine';
    if (status === 404) return 'lost';
    return status === 400 ? 'ask-body' : 'fine';
  }

  lost(used: Access): void {
    if (this.#opened === used) this.#opened = undefined;
  }

  /** Remembers what has to be said again to a member that loses its session. */
  subscribed(uri: string, on: boolean): void {
    if (!on) this.#subscriptions.delete(uri);
    else if (this.#subscriptions.size < this.#services.limits.federation.subscriptions) this.#subscriptions.add(uri);
  }

  async #open(): Promise<OpenedSession | UpstreamError> {
    const { limits, memberHealth } = this.#services;
    const { backend, member } = this.state;
    if (member.authorization.quarantine) return inQuarantine;
    if (!memberHealth.admits(backend)) return breakerOpen;
    const { capabilities, clientInfo } = this.#of.facts;
    const version = JSON.stringify(this.#of.version);
    const params = `{"protocolVersion":${version},"capabilities":${capabilities},"clientInfo":${clientInfo}}`;
    const asked = await this.#ask('initialize', params, initializeHeaders, limits.federation.fanOutMs);
    if (asked.kind === 'answer') memberHealth.answered(backend, asked.head.status);
    else if (asked.status === undefined) memberHealth.failed(backend);
    else memberHealth.answered(backend, asked.status);
    const opened = this.#read(asked);
    if ('code' in opened) return opened;
    await this.#notify('notifications/initialized', opened);
    await this.#repeat(opened);
    // The client left meanwhile: nobody would end this session.
    if (this.#of.ended) await this.#terminate(opened);
    else this.#opened = opened;
    this.#of.answered(this.state, true);
    return opened;
  }

  #read(asked: Asked): OpenedSession | UpstreamError {
    if (asked.kind === 'failure') {
      return asked.error ?? { code: 'protocol', message: `initialize: ${asked.reason}`, notAccepted: true };
    }
    const { head, message } = asked;
    const { bytes, result } = message;
    const span = result && memberValue(bytes, result, 'protocolVersion');
    const version = (span && stringValue(bytes, span)) ?? '';
    const session = head.header('mcp-session-id') ?? '';
    if (!result || !legacyCodec.versions.includes(version) || session.length > maxSessionId) {
      return {
        code: 'other-era',
        message: 'initialize was refused, or answered in an unknown revision',
        notAccepted: true,
      };
    }
    this.#greeting = { bytes, result };
    return new OpenedSession(session, version);
  }

  /** What the client had set before a session was lost. */
  async #repeat(opened: OpenedSession): Promise<void> {
    const { level } = this.#of;
    const { fanOutMs } = this.#services.limits.federation;
    if (level !== undefined && this.has('logging')) {
      await this.#ask('logging/setLevel', `{"level":${level}}`, opened.headers, fanOutMs);
    }
    for (const uri of this.#subscriptions) {
      await this.#ask('resources/subscribe', `{"uri":${JSON.stringify(uri)}}`, opened.headers, fanOutMs);
    }
  }

  /** Whether the member has a capability; true when it is not known here. */
  has(capability: string): boolean {
    if (!this.#greeting) return true;
    const { bytes, result } = this.#greeting;
    const capabilities = memberValue(bytes, result, 'capabilities');
    return capabilities !== undefined && memberValue(bytes, capabilities, capability) !== undefined;
  }

  /** Ends the session at the member; what it says to that does not matter. */
  terminate(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    return opened ? this.#terminate(opened) : Promise.resolve();
  }

  #ask(method: string, params: string, headers: readonly string[], deadlineMs: number): Promise<Asked> {
    const id = this.#services.requestIds.mint(own, { start: 0, end: own.length }, undefined);
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`);
    return askMember(this.#services, id, deadlineMs, (handler) => this.#send('POST', headers, body, handler));
  }

  async #notify(method: string, { headers }: OpenedSession): Promise<void> {
    const body = Buffer.from(`{"jsonrpc":"2.0","method":"${method}"}`);
    const { fanOutMs } = this.#services.limits.federation;
    await askMember(this.#services, 'none', fanOutMs, (handler) => this.#send('POST', headers, body, handler));
  }

  async #terminate({ session, version }: OpenedSession): Promise<void> {
    if (session === '') return;
    const headers = ['Mcp-Session-Id', session, 'MCP-Protocol-Version', version];
    const { fanOutMs } = this.#services.limits.federation;
    await askMember(this.#services, 'none', fanOutMs, (handler) => this.#send('DELETE', headers, undefined, handler));
  }

  #send(
    method: string,
    headers: readonly string[],
    body: Buffer | undefined,
    handler: Parameters<Services['upstream']['dispatch']>[1],
  ): ReturnType<Services['upstream']['dispatch']> {
    const { origin, target, backend, bounds } = this.state;
    const where = { origin, poolKey: backend.key, peer: backend, target };
    const request = { ...where, method, headers, body, safeToResend: false, timeouts: bounds.message };
    return this.#services.upstream.dispatch(request, handler);
  }
}

/** A session that has begun. */
export class OpenedSession implements Access {
  readonly session: string;
  readonly version: string;
  /** Of a POST without more. */
  readonly headers: readonly string[];
  readonly #own: readonly string[];

  constructor(session: string, version: string) {
    this.session = session;
    this.version = version;
    this.#own = ['MCP-Protocol-Version', version, ...(session === '' ? [] : ['Mcp-Session-Id', session])];
    this.headers = [...initializeHeaders, ...this.#own];
  }

  headersFor({ verb, headers }: MemberRequest): readonly string[] {
    const usual = verb === 'POST' ? this.headers : ['Accept', 'text/event-stream', ...this.#own];
    return headers === undefined || headers.length === 0 ? usual : [...usual, ...headers];
  }
}

const initializeHeaders: readonly string[] = [
  ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
];
/** Characters of a member's session id. */
const maxSessionId = 1_024;
/** Stands for the client's id in ids of requests that are the gateway's own. */
const own = Buffer.from('"signalbox"');
