import { type DescriptorKind } from '@signalbox/config';
import type { Random } from '@signalbox/runtime';
import { type Asked, askMember, type AskingServices } from '../federation/ask-member.ts';
import { arrayElements, memberValue, objectMembers, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { type Era, listMethods } from '../mcp/codec/codec.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import { metaKeys, modernCodec } from '../mcp/codec/rev2026-07-28.ts';
import type { Endpoint } from '../mcp/endpoint.ts';
import type { EraProbe } from '../mcp/era-probe.ts';
import { codes } from '../mcp/errors.ts';
import { collect } from '../upstream/collect.ts';
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';

/** What looking at a server needs. */
export interface ExploreKit extends AskingServices {
  readonly upstream: Upstream;
  readonly eras: Pick<EraProbe, 'find'>;
  readonly random: Random;
  /** How long each answer may take, in milliseconds. */
  readonly answerMs: number;
  readonly connectMs: number;
  /** Aborted when the whole takes too long. */
  readonly deadline: AbortSignal;
  /** Entries of all lists, and their bytes, beyond which nothing more is asked for. */
  readonly maxDescriptors: number;
  readonly maxBytes: number;
}

/** What was found out about a server. */
export type Exploration =
  | {
      readonly outcome: 'complete';
      readonly era: Era;
      readonly protocolVersion: string;
      readonly descriptors: readonly { readonly kind: DescriptorKind; readonly json: Buffer }[];
    }
  | { readonly outcome: 'needs-auth' | 'unreachable' | 'failed'; readonly problem: string };

type Failure = Exclude<Exploration, { readonly outcome: 'complete' }>;

/**
 * Asks a server for everything that it has, in its own era and as nobody in particular: no caller's credential, no
 * capabilities of a client. Never rejects. A session that it needs is ended.
 */
export async function explore(kit: ExploreKit, endpoint: Endpoint): Promise<Exploration> {
  const visit = new Visit(kit, endpoint);
  const era = await new Promise<Era | undefined>((resolve) => kit.eras.find(endpoint, resolve));
  const greeting = era === 'modern' ? await visit.discover() : await visit.initialize();
  if ('outcome' in greeting) return greeting;
  try {
    return await visit.lists(greeting);
  } finally {
    visit.leave();
  }
}

/** What a server said of itself. */
interface Greeting {
  readonly era: Era;
  readonly version: string;
  readonly server: Buffer;
  /** Members of its capabilities. */
  readonly offers: ReadonlySet<string>;
}

const kindOfMethod: Readonly<Record<string, DescriptorKind>> = {
  'tools/list': 'tool',
  'prompts/list': 'prompt',
  'resources/list': 'resource',
  'resources/templates/list': 'template',
};
const clientInfo = { name: 'signalbox-catalog', version: '0' };
const modernVersion = modernCodec.versions[0] as string;
const legacyVersion = legacyCodec.versions[0] as string;
/** Pages of one list: a server that never ends its list is not believed. */
const maxPages = 1_000;

class Visit {
  readonly #kit: ExploreKit;
  readonly #endpoint: Endpoint;
  readonly #prefix: string;
  #asked = 0;
  #session = '';
  #version = '';

  constructor(kit: ExploreKit, endpoint: Endpoint) {
    this.#kit = kit;
    this.#endpoint = endpoint;
    this.#prefix = `catalog-${kit.random.bytes(6).toString('base64url')}`;
  }

  async discover(): Promise<Greeting | Failure> {
    const asked = await this.#ask('modern', 'server/discover', {});
    if ('outcome' in asked) return asked;
    const { bytes, result } = asked;
    const meta = memberValue(bytes, result, '_meta');
    const info = meta && memberValue(bytes, meta, metaKeys.serverInfo);
    return { era: 'modern', version: modernVersion, ...greetingOf(bytes, result, info) };
  }

  async initialize(): Promise<Greeting | Failure> {
    const params = { protocolVersion: legacyVersion, capabilities: {}, clientInfo };
    const asked = await this.#ask('legacy', 'initialize', params);
    if ('outcome' in asked) return asked;
    const { bytes, result, session } = asked;
    const version = memberValue(bytes, result, 'protocolVersion');
    this.#session = session;
    this.#version = (version && stringValue(bytes, version)) ?? '';
    if (!legacyCodec.versions.includes(this.#version)) {
      this.leave();
      return { outcome: 'failed', problem: `it answers initialize with protocol version "${this.#version}"` };
    }
    await this.#send('POST', '{"jsonrpc":"2.0","method":"notifications/initialized"}');
    return {
      era: 'legacy',
      version: this.#version,
      ...greetingOf(bytes, result, memberValue(bytes, result, 'serverInfo')),
    };
  }

  async lists({ era, version, server, offers }: Greeting): Promise<Exploration> {
    const descriptors: { kind: DescriptorKind; json: Buffer }[] = [{ kind: 'server', json: server }];
    let bytes = server.length;
    for (const { name: method, list } of listMethods) {
      if (!list || !offers.has(method.slice(0, method.indexOf('/')))) continue;
      let cursor: string | undefined;
      for (let page = 0; page < maxPages; page += 1) {
        const asked = await this.#ask(era, method, cursor === undefined ? {} : { cursor });
        if ('outcome' in asked) {
          if (asked.code === codes.methodNotFound) break;
          return asked;
        }
        const entries = memberValue(asked.bytes, asked.result, list.member);
        for (const { start, end } of entries ? arrayElements(asked.bytes, entries) : []) {
          descriptors.push({ kind: kindOfMethod[method] as DescriptorKind, json: asked.bytes.subarray(start, end) });
          bytes += end - start;
        }
        if (descriptors.length > this.#kit.maxDescriptors || bytes > this.#kit.maxBytes) return this.#tooMuch();
        const next = memberValue(asked.bytes, asked.result, 'nextCursor');
        cursor = next && stringValue(asked.bytes, next);
        if (cursor === undefined) break;
      }
      if (cursor !== undefined) return { outcome: 'failed', problem: `${method} has more than ${maxPages} pages` };
    }
    return { outcome: 'complete', era, protocolVersion: version, descriptors };
  }

  /** Ends the session, if there is one, without waiting for it. */
  leave(): void {
    if (this.#session !== '') void this.#send('DELETE', undefined);
    this.#session = '';
  }

  #tooMuch(): Failure {
    const { maxDescriptors, maxBytes } = this.#kit;
    return { outcome: 'failed', problem: `it has more than ${maxDescriptors} entries, or ${maxBytes} bytes of them` };
  }

  async #ask(
    era: Era,
    method: string,
    params: Readonly<Record<string, unknown>>,
  ): Promise<{ bytes: Buffer; result: Span; session: string } | (Failure & { readonly code?: number })> {
    const { upstream, answerMs, deadline } = this.#kit;
    if (deadline.aborted) return { outcome: 'unreachable', problem: 'it took too long to tell everything' };
    this.#asked += 1;
    const id = JSON.stringify(`${this.#prefix}-${this.#asked}`);
    const all = era === 'modern' ? { ...params, _meta: modernMeta } : params;
    const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${JSON.stringify(all)}}`;
    const request = this.#request('POST', body, era === 'modern' ? modernHeaders(method) : []);
    const asked = await askMember(this.#kit, id, answerMs, (handler) => upstream.dispatch(request, handler));
    return answerTo(method, asked);
  }

  /** Sends what needs no answer. */
  async #send(method: 'POST' | 'DELETE', body: string | undefined): Promise<void> {
    await collect(this.#kit.upstream, this.#request(method, body, []), 65_536);
  }

  #request(method: 'POST' | 'DELETE', body: string | undefined, more: readonly string[]): UpstreamRequest {
    const { origin, target, backend } = this.#endpoint;
    const { connectMs, answerMs } = this.#kit;
    const session = [
      ...(this.#session === '' ? [] : ['Mcp-Session-Id', this.#session]),
      ...(this.#version === '' ? [] : ['MCP-Protocol-Version', this.#version]),
    ];
    return {
      ...{ origin, poolKey: backend.key, peer: backend, method, target },
      headers: [...(body === undefined ? [] : jsonHeaders), ...session, ...more],
      body: body === undefined ? undefined : Buffer.from(body),
      safeToResend: true,
      timeouts: { connectMs, headMs: answerMs, idleMs: answerMs, totalMs: answerMs },
    };
  }
}

const jsonHeaders = ['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'];

function modernHeaders(method: string): readonly string[] {
  return ['MCP-Protocol-Version', modernVersion, 'Mcp-Method', method];
}

const modernMeta = {
  [metaKeys.protocolVersion]: modernVersion,
  [metaKeys.clientCapabilities]: {},
  [metaKeys.clientInfo]: clientInfo,
};

function answerTo(method: string, asked: Asked) {
  const status = asked.kind === 'answer' ? asked.head.status : asked.status;
  if (status === 401 || status === 403) {
    return { outcome: 'needs-auth', problem: `it answers ${method} with status ${status}` } as const;
  }
  if (asked.kind === 'failure') {
    const isUp = status !== undefined && status !== 408 && status !== 429 && status < 500;
    return { outcome: isUp ? 'failed' : 'unreachable', problem: `${method}: ${asked.reason}` } as const;
  }
  const { bytes, result, error } = asked.message;
  const session = asked.head.header('mcp-session-id') ?? '';
  if (result) return { bytes, result, session };
  const span = error && memberValue(bytes, error, 'code');
  const code = span ? Number(bytes.toString('latin1', span.start, span.end)) : 0;
  return { outcome: 'failed', problem: `it answers ${method} with error ${code}`, code } as const;
}

/** What a server says of itself, as it says it; what differs by who asks is left out. */
function greetingOf(bytes: Buffer, result: Span, info: Span | undefined): Pick<Greeting, 'server' | 'offers'> {
  const capabilities = memberValue(bytes, result, 'capabilities');
  const instructions = memberValue(bytes, result, 'instructions');
  const parts = Object.entries({ capabilities, instructions, serverInfo: info }).flatMap(([key, span]) =>
    span ? [`"${key}":${bytes.toString('utf8', span.start, span.end)}`] : [],
  );
  const offers = capabilities ? objectMembers(bytes, capabilities).map(({ key }) => key) : [];
  return { server: Buffer.from(`{${parts.join(',')}}`), offers: new Set(offers) };
}
