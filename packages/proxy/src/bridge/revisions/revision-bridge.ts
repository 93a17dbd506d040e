import { memberValue, stringValue } from '../../json/members.ts';
import { scanBody } from '../../json/scan.ts';
import { batchVersion } from '../../mcp/codec/rev2025-11-25.ts';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { headerOf } from '../header-of.ts';
import { LocalAnswer } from '../local-answer.ts';
import { RevisedAnswer } from './revised-answer.ts';
import { RevisedInitialize } from './revised-initialize.ts';
import { readRevisedSessionId, type RevisedSession } from './revised-session-id.ts';

/**
 * Lets clients and servers of different revisions of the legacy era talk: to whoever sends through it, every server speaks
 * the revision that its client asked for. What an older client must not see is taken out or said in its words, what it
 * cannot do is answered in its place; batches of servers of 2025-03-26 come apart. Everything else passes untouched.
 */
export class RevisionBridge implements Upstream {
  readonly #context: BridgeContext;

  constructor(context: BridgeContext) {
    this.#context = context;
  }

  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const { upstream, limits } = this.#context;
    const { headers, body, legacyFor } = request;
    if (legacyFor !== undefined) return upstream.dispatch(request, handler);
    const id = headerOf(headers, 'Mcp-Session-Id');
    if (id !== undefined) {
      const session = readRevisedSessionId(id);
      return session ? this.#inSession(session, request, handler) : upstream.dispatch(request, handler);
    }
    const mayBegin = body !== undefined && body.includes(initialize) && headerOf(headers, 'Mcp-Method') === undefined;
    const asked = mayBegin ? this.#askedVersion(body) : undefined;
    return upstream.dispatch(request, asked === undefined ? handler : new RevisedInitialize(handler, asked, limits));
  }

  retain(origins: ReadonlySet<string>): void {
    this.#context.upstream.retain(origins);
  }

  close(): void {
    this.#context.upstream.close();
  }

  #inSession(session: RevisedSession, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const { upstream, limits } = this.#context;
    if (session.id === '' && request.body === undefined) {
      return new LocalAnswer(handler, { status: request.method === 'GET' ? 405 : 204 });
    }
    const inner = { ...request, headers: ownHeaders(request.headers, session) };
    const isSame = session.client >= session.server && session.server !== batchVersion;
    if (isSame || request.method === 'DELETE') return upstream.dispatch(inner, handler);
    const reply = (answer: string): void =>
      void upstream.dispatch(
        { ...inner, method: 'POST', headers: postHeaders(session), body: Buffer.from(answer), safeToResend: false },
        ignored,
      );
    // A client of the newer revision can take what an older server says; only its batches come apart.
    return upstream.dispatch(inner, new RevisedAnswer(handler, { version: session.client, reply }, limits));
  }

  /** Undefined for anything but `initialize`. */
  #askedVersion(body: Buffer): string | undefined {
    const scanned = scanBody(body, this.#context.limits.requestScan);
    if (scanned.kind !== 'message' || scanned.message.method !== 'initialize') return undefined;
    const { bytes, params } = scanned.message;
    const span = params && memberValue(bytes, params, 'protocolVersion');
    return (span && stringValue(bytes, span)) ?? '';
  }
}

const initialize = Buffer.from('"initialize"');

/** The headers of a request with the session and the revision of the server. */
function ownHeaders(headers: readonly string[], { server, id }: RevisedSession): readonly string[] {
  const own: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name === 'MCP-Protocol-Version') own.push(name, server);
    else if (name !== 'Mcp-Session-Id') own.push(name, headers[at + 1] as string);
    else if (id !== '') own.push(name, id);
  }
  return own;
}

function postHeaders({ server, id }: RevisedSession): readonly string[] {
  return [
    ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
    ...['MCP-Protocol-Version', server, ...(id === '' ? [] : ['Mcp-Session-Id', id])],
  ];
}

/** What becomes of such an answer does not matter. */
const ignored: UpstreamHandler = {
  onHead: () => undefined,
  onData: () => undefined,
  onEnd: () => undefined,
  onError: () => undefined,
};
