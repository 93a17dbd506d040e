import { memberValue } from '../json/members.ts';
import type { ScannedMessage } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import { cancelledMethod } from '../mcp/cancelled.ts';
import { codes } from '../mcp/errors.ts';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from '../upstream/upstream.ts';
import { AnswerMemory } from './answer-memory.ts';
import type { BridgeContext } from './bridge-context.ts';
import { headerOf } from './header-of.ts';
import { askingNode, handAnswer, takeAnswers } from './legacy-client/handed-answer.ts';
import { BridgedCall } from './legacy-client/call.ts';
import { BridgedInitialize } from './legacy-client/initialize.ts';
import { ToolHeaders } from './legacy-client/tool-headers.ts';
import { type BridgedSession, BridgedSessions } from './legacy-client/session.ts';
import { BridgedStream } from './legacy-client/stream.ts';
import { jsonType, LocalAnswer } from './local-answer.ts';
import { ModernCall } from './modern-client/call.ts';
import { discoverLegacy } from './modern-client/discover.ts';
import { handRetry, takeRetries } from './modern-client/handed-retry.ts';
import { emptyAnswer, errorAnswer } from './own-answers.ts';
import { LegacySessions } from './modern-client/legacy-sessions.ts';
import { ModernListen } from './modern-client/listen.ts';
import { ParkedCalls } from './modern-client/parked-calls.ts';
import { roundParamsOf } from './modern-client/to-legacy-request.ts';

/**
 * Lets clients of one era talk to servers of the other: to whoever sends through it, such a server looks like one of the
 * client's era.
 *
 * 1. For a legacy client a modern server has sessions, asks within a call, and tells of changes on a GET stream. It is
 *    only taken for modern when it has refused `initialize` as one of that era does.
 * 2. For a modern client a legacy server answers `input_required` and `subscriptions/listen`. Whoever sends knows that it
 *    is one, and marks the request with its caller.
 * 3. Everything else passes untouched.
 */
export class EraBridge implements Upstream {
  readonly #context: BridgeContext;
  readonly #sessions: BridgedSessions;
  readonly #legacySessions: LegacySessions;
  readonly #parked: ParkedCalls;
  readonly #legacyParts: {
    readonly context: BridgeContext;
    readonly toolHeaders: ToolHeaders;
    readonly memory: AnswerMemory;
  };
  readonly #memory = new AnswerMemory();

  constructor(context: BridgeContext) {
    this.#context = context;
    this.#legacyParts = { context, toolHeaders: new ToolHeaders(context), memory: this.#memory };
    this.#sessions = new BridgedSessions(context);
    this.#legacySessions = new LegacySessions(context);
    this.#parked = new ParkedCalls(context);
    takeRetries(context, this.#parked);
    takeAnswers(context, this.#sessions);
  }

  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const { headers, body, legacyFor } = request;
    if (legacyFor !== undefined) return this.#toLegacy(request, legacyFor, handler);
    const id = headerOf(headers, 'Mcp-Session-Id');
    if (id !== undefined) {
      const session = this.#sessions.of(id, request.peer?.tenant ?? '');
      return session
        ? this.#inSession(id, session, request, handler)
        : this.#context.upstream.dispatch(request, handler);
    }
    const mayBegin = body !== undefined && body.includes(initialize) && headerOf(headers, 'Mcp-Method') === undefined;
    const message = mayBegin ? this.#read(body) : undefined;
    if (message?.method !== 'initialize' || !message.id) return this.#context.upstream.dispatch(request, handler);
    return new BridgedInitialize(this.#context, { request, message }, handler).begin();
  }

  /** The node stops: no session is left at a server that nobody else knows. */
  leave(): Promise<void> {
    return this.#legacySessions.leave();
  }

  retain(origins: ReadonlySet<string>): void {
    this.#context.upstream.retain(origins);
  }

  close(): void {
    this.#context.upstream.close();
  }

  /** A session is over, as another node has said. */
  endSession(id: string): void {
    this.#sessions.forget(id);
  }

  /** A modern client's request for a legacy server. */
  #toLegacy(request: UpstreamRequest, caller: string, handler: UpstreamHandler): UpstreamExchange {
    const message = request.body && this.#read(request.body);
    if (!message) return new LocalAnswer(handler, { status: 400 });
    const modern = { request, message, caller };
    if (message.method === 'server/discover') return discoverLegacy(this.#legacySessions, modern, handler);
    if (message.method === 'subscriptions/listen') {
      return new ModernListen(this.#context, this.#legacySessions, modern, handler).begin();
    }
    const { requestState } = roundParamsOf(message);
    const claimed = requestState === undefined ? undefined : this.#parked.claim(requestState, caller, message);
    if (claimed?.kind === 'refused') return refused(message, handler, claimed.reason);
    if (claimed?.kind === 'call') return claimed.call.comeBack(modern, handler);
    if (claimed?.kind === 'elsewhere') return handRetry(this.#context, claimed.node, modern, handler);
    const parts = {
      ...{ context: this.#context, sessions: this.#legacySessions },
      ...{ parked: this.#parked, memory: this.#memory },
    };
    return new ModernCall(parts, modern, handler).begin();
  }

  #inSession(
    id: string,
    session: BridgedSession,
    request: UpstreamRequest,
    handler: UpstreamHandler,
  ): UpstreamExchange {
    if (request.method === 'GET') return new BridgedStream(this.#context, session, request, handler).begin();
    if (request.method === 'DELETE') {
      this.#sessions.end(id);
      return new LocalAnswer(handler, { status: 204 });
    }
    const message = request.body && this.#read(request.body);
    if (!message) return new LocalAnswer(handler, { status: 400 });
    if (message.method === undefined) return this.#answered({ id, session }, message, handler);
    if (!message.id) return this.#notified(session, message, handler);
    return this.#asked(session, { request, message }, handler);
  }

  #asked(
    session: BridgedSession,
    asked: { readonly request: UpstreamRequest; readonly message: ScannedMessage },
    handler: UpstreamHandler,
  ): UpstreamExchange {
    const { message } = asked;
    const { bytes, params, uri, method = '' } = message;
    switch (method) {
      case 'ping':
        return done(message, handler);
      case 'logging/setLevel': {
        const level = params && memberValue(bytes, params, 'level');
        if (!level) return refused(message, handler, 'params.level is required');
        const said = bytes.toString('utf8', level.start, level.end);
        this.#sessions.change(session, () => void (session.level = said));
        return done(message, handler);
      }
      case 'resources/subscribe':
      case 'resources/unsubscribe': {
        if (uri === undefined) return refused(message, handler, 'params.uri is required');
        return this.#subscribe(session, message, uri, handler);
      }
      default:
        if (message.paramsType === 'other') return refused(message, handler, 'params must be an object');
        return new BridgedCall(this.#legacyParts, session, asked, handler).begin();
    }
  }

  #subscribe(
    session: BridgedSession,
    message: ScannedMessage,
    uri: string,
    handler: UpstreamHandler,
  ): UpstreamExchange {
    const { subscriptions } = this.#context.limits.bridge;
    const isWanted = message.method === 'resources/subscribe';
    if (isWanted && session.subscriptions.size >= subscriptions && !session.subscriptions.has(uri)) {
      return refused(message, handler, `a session has at most ${subscriptions} subscriptions`);
    }
    this.#sessions.change(session, () => {
      const before = session.subscriptions.size;
      if (isWanted) session.subscriptions.add(uri);
      else session.subscriptions.delete(uri);
      if (session.subscriptions.size !== before) for (const stream of session.streams) stream.listenAnew();
    });
    return done(message, handler);
  }

  #notified(
    session: BridgedSession,
    { bytes, method, params }: ScannedMessage,
    handler: UpstreamHandler,
  ): UpstreamExchange {
    if (method === cancelledMethod) {
      const request = params && memberValue(bytes, params, 'requestId');
      if (request) session.running.get(bytes.toString('utf8', request.start, request.end))?.cancel();
    }
    // The modern era has no notification of clients that would go to its servers.
    return new LocalAnswer(handler, { status: 202 });
  }

  #answered(
    of: { readonly id: string; readonly session: BridgedSession },
    message: ScannedMessage,
    handler: UpstreamHandler,
  ): UpstreamExchange {
    const id = message.id && message.bytes.toString('utf8', message.id.start, message.id.end);
    const node = id === undefined ? undefined : askingNode(id);
    if (node !== undefined && node !== this.#context.nodeCalls.self) {
      return handAnswer(this.#context, { node, session: of.id }, message, handler);
    }
    const call = id === undefined ? undefined : of.session.asked.get(id);
    if (id === undefined || !call) return new LocalAnswer(handler, { status: 400 });
    const accepted = new LocalAnswer(handler, { status: 202 });
    call.answered(id, message);
    return accepted;
  }

  #read(body: Buffer): ScannedMessage | undefined {
    const scanned = scanBody(body, this.#context.limits.requestScan);
    return scanned.kind === 'message' ? scanned.message : undefined;
  }
}

const initialize = Buffer.from('"initialize"');

function done(message: ScannedMessage, handler: UpstreamHandler): LocalAnswer {
  return new LocalAnswer(handler, { status: 200, headers: jsonType }, emptyAnswer(message));
}

function refused(message: ScannedMessage, handler: UpstreamHandler, reason: string): LocalAnswer {
  const answer = errorAnswer(message, codes.invalidParams, reason);
  return new LocalAnswer(handler, { status: 200, headers: jsonType }, answer);
}
