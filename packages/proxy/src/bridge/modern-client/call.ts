import { encodeEvent } from '../../http/sse.ts';
import { memberValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { codes } from '../../mcp/errors.ts';
import { parted, splice } from '../../mcp/splice.ts';
import { traceOf } from '../../mcp/upstream-request.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import { ActingExchange } from '../acting-exchange.ts';
import { type AnswerMemory, answerWith } from '../answer-memory.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { eventType, headOf, jsonType } from '../local-answer.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import type { LegacySession, LegacySessions } from './legacy-sessions.ts';
import type { ParkedCalls } from './parked-calls.ts';
import { type Claims, claimsOf, type RoundParams, roundParamsOf, toLegacyBody } from './to-legacy-request.ts';
import { modernEdits, questionParams, suggestedKey, wantedVisits } from './to-modern-answer.ts';

/** A request of a modern client, and who hears its answer. */
export interface ModernRequest {
  readonly request: UpstreamRequest;
  readonly message: ScannedMessage;
  readonly caller: string;
}

interface Question {
  /** Raw JSON of the id that the server gave it. */
  readonly id: string;
  readonly method: string;
  readonly params: string | undefined;
}

/**
 * One request of a modern client at a legacy server, on a session that is shared.
 *
 * 1. What the server asks within the call becomes `input_required`; the server's stream is parked meanwhile. A retry
 *    that brings the answers goes on with it, on whatever connection it comes.
 * 2. Questions that come together make one round. A call that nobody comes back for is cancelled at the server.
 * 3. A client that leaves while it is answered has cancelled: the server hears of it.
 */
export class ModernCall implements AnswerListener {
  readonly #context: BridgeContext;
  readonly #sessions: LegacySessions;
  readonly #parked: ParkedCalls;
  readonly #memory: AnswerMemory;
  readonly #first: ModernRequest;
  readonly #claims: Claims;
  /** Answers that came before anybody had asked. */
  readonly #offered: Map<string, string>;
  /** Raw JSON of the id that the server knows the call by. */
  readonly #id: string;
  /** The present round: the first request, or the last one that came back. */
  #present: Pick<ModernRequest, 'message'>;
  #handler: UpstreamHandler | undefined;
  #streams = false;
  #session: LegacySession | undefined;
  #exchange: UpstreamExchange | undefined;
  #reading: ServerAnswer | undefined;
  #retried = false;
  readonly #questions = new Map<string, Question>();
  #asked = 0;
  #rounds = 0;
  #gathering: Disposable | undefined;
  #patience: Disposable | undefined;
  /** The answer, when it came while nobody listened. */
  #late: ScannedMessage | undefined;
  #over = false;

  constructor(
    parts: {
      readonly context: BridgeContext;
      readonly sessions: LegacySessions;
      readonly parked: ParkedCalls;
      readonly memory: AnswerMemory;
    },
    first: ModernRequest,
    handler: UpstreamHandler,
  ) {
    this.#context = parts.context;
    this.#sessions = parts.sessions;
    this.#parked = parts.parked;
    this.#memory = parts.memory;
    this.#first = first;
    this.#present = first;
    this.#handler = handler;
    this.#claims = claimsOf(first.message);
    this.#offered = new Map(roundParamsOf(first.message).inputResponses);
    this.#id = raw(first.message, first.message.id);
  }

  begin(): UpstreamExchange {
    this.#open();
    return this.#exchangeFor(this.#handler);
  }

  /** Goes on with a parked call for a client that has come back, to this node or to another one. */
  comeBack(present: Pick<ModernRequest, 'message'>, handler: UpstreamHandler): UpstreamExchange {
    const round = roundParamsOf(present.message);
    this.#present = present;
    this.#handler = handler;
    this.#streams = false;
    queueMicrotask(() => this.#goOn(round));
    return this.#exchangeFor(handler);
  }

  /** What the client of one round holds: nothing, once it has its answer. */
  #exchangeFor(handler: UpstreamHandler | undefined): UpstreamExchange {
    const ifPresent = (act: () => void) => () => {
      if (this.#handler === handler) act();
    };
    return new ActingExchange({
      pause: ifPresent(() => this.#exchange?.pause()),
      resume: ifPresent(() => this.#exchange?.resume()),
      detach: ifPresent(() => this.#exchange?.detach()),
      abort: ifPresent(() => {
        this.#handler = undefined;
        this.#cancel('The client has left');
      }),
    });
  }

  #open(): void {
    const { request, caller } = this.#first;
    const session = this.#sessions.shared({ request, caller, claims: this.#claims });
    if (!(session instanceof Promise)) queueMicrotask(() => this.#send(session));
    else void session.then((opened) => ('code' in opened ? this.onBroken(opened) : this.#send(opened)));
  }

  onMessage(message: ScannedMessage): void {
    if (this.#over) return;
    if (message.id) this.#take(message, raw(message, message.id));
    else this.#notify(message);
  }

  onAnswer(message: ScannedMessage, head: UpstreamHead): boolean {
    if (this.#over || (head.status === 404 && this.#again())) return true;
    this.#gathering?.[Symbol.dispose]();
    if (this.#handler) this.#answer(message);
    else this.#late = message;
    return this.#late === undefined;
  }

  onOther(head: UpstreamHead): void {
    if (this.#over || (head.status === 404 && this.#again())) return;
    this.onBroken({ code: 'protocol', message: `the server answered with status ${head.status}`, notAccepted: false });
  }

  onBroken(error: UpstreamError): void {
    if (this.#over) return;
    const handler = this.#handler;
    if (handler && this.#streams) return this.#fail(codes.internal, 'The server broke off its answer');
    this.#finish();
    handler?.onError(error);
  }

  #send(session: LegacySession): void {
    if (this.#over) return;
    const { message, request } = this.#first;
    this.#session = session;
    if (this.#claims.level !== undefined) this.#letLog(session);
    this.#reading = new ServerAnswer(this, this.#context.limits, this.#memory);
    this.#exchange = this.#context.upstream.dispatch(
      {
        ...request,
        // While its client is asked the call may last; each wait has a bound of its own.
        timeouts: { ...request.timeouts, totalMs: 0 },
        headers: [...session.headers, ...traceOf(request.headers)],
        body: toLegacyBody(message),
      },
      this.#reading,
    );
  }

  /** The server has lost the session: it refused the request, so it is made again in another. */
  #again(): boolean {
    if (this.#retried || !this.#session || this.#session.id === '') return false;
    this.#retried = true;
    this.#sessions.lost(this.#session);
    this.#reading?.forget();
    this.#open();
    return true;
  }

  /** Log messages are wanted from now on; which of them are for whom is seen when they come. */
  #letLog(session: LegacySession): void {
    if (session.logs) return;
    session.logs = true;
    const body = Buffer.from(
      `{"jsonrpc":"2.0","id":"${this.#context.random.bytes(9).toString('base64url')}","method":"logging/setLevel","params":{"level":"debug"}}`,
    );
    void this.#sessions.ask({ ...this.#first.request, headers: session.headers, body, safeToResend: true });
  }

  /** A request of the server. */
  #take(message: ScannedMessage, id: string): void {
    const { method = '' } = message;
    if (method === 'ping') return this.#reply(id, '"result":{}');
    const capability = capabilities.get(method);
    if (capability === undefined) {
      return this.#reply(id, `"error":{"code":${codes.methodNotFound},"message":"The client has no such method"}`);
    }
    if (!declares(this.#claims.capabilities, capability)) {
      this.#reply(id, `"error":{"code":${codes.invalidRequest},"message":"The client has not declared this"}`);
      const data = { requiredCapabilities: { [capability]: {} } };
      return this.#fail(codes.missingCapability, `The server needs the capability ${capability}`, {
        data,
        status: 400,
      });
    }
    const wanted = suggestedKey(message) ?? `input-${this.#asked + 1}`;
    const key = this.#questions.has(wanted) ? `${wanted}-${this.#asked + 1}` : wanted;
    this.#asked += 1;
    const offered = this.#offered.get(key);
    if (offered !== undefined && isObject(offered)) {
      this.#offered.delete(key);
      return this.#reply(id, `"result":${offered}`);
    }
    this.#questions.set(key, { id, method, params: questionParams(message) });
    this.#gathering ??= this.#context.clock.timer(this.#context.limits.bridge.gatherMs, () => this.#park());
  }

  /** Only what is about this request is for its client: progress under its own token, and log messages it asked for. */
  #notify(message: ScannedMessage): void {
    const { bytes, method, params } = message;
    if (!this.#handler || !params) return;
    if (method === 'notifications/progress') {
      const token = memberValue(bytes, params, 'progressToken');
      const { meta, bytes: asked } = this.#present.message;
      const own = meta && memberValue(asked, meta, 'progressToken');
      if (token && own) this.#write(splice(bytes, [{ ...token, text: asked.toString('utf8', own.start, own.end) }]));
    } else if (method === 'notifications/message' && this.#isLoud(bytes, params)) this.#write(bytes);
  }

  #isLoud(bytes: Buffer, params: Span): boolean {
    const { level } = claimsOf(this.#present.message);
    const said = memberValue(bytes, params, 'level');
    if (level === undefined || !said) return false;
    return levels.indexOf(bytes.toString('utf8', said.start, said.end)) >= levels.indexOf(level);
  }

  /** Answers the client that its input is required, and keeps the server waiting. */
  #park(): void {
    this.#gathering = undefined;
    if (this.#over || !this.#handler) return;
    const { clock, limits } = this.#context;
    this.#rounds += 1;
    if (this.#rounds > limits.bridge.rounds) {
      return this.#fail(codes.internal, `The server asks more than ${limits.bridge.rounds} times`);
    }
    const state = this.#parked.park(this, this.#first.caller, this.#first.message);
    if (state === undefined) return this.#fail(codes.internal, 'Too many calls wait for input on this node');
    this.#exchange?.pause();
    this.#patience = clock.timer(limits.bridge.parkedMs, () =>
      this.#cancel('Nobody came back with what was asked for'),
    );
    this.#respond(`"result":${inputRequired(this.#questions, state)}`);
  }

  /** The client has come back with answers, all or some of them. */
  #goOn({ inputResponses }: RoundParams): void {
    if (this.#over) {
      return this.#respond(
        `"error":{"code":${codes.invalidParams},"message":"The call no longer waits: make the request again"}`,
      );
    }
    // A refused answer costs the call nothing: the same state may be brought back again.
    if ([...this.#questions.keys()].some((key) => !isObject(inputResponses.get(key) ?? '{'))) {
      return this.#respond(
        `"error":{"code":${codes.invalidParams},"message":"inputResponses must hold an object for each key"}`,
      );
    }
    this.#patience?.[Symbol.dispose]();
    this.#parked.forget(this);
    for (const [key, { id }] of this.#questions) {
      const answer = inputResponses.get(key);
      if (answer === undefined) continue;
      this.#questions.delete(key);
      this.#reply(id, `"result":${answer}`);
    }
    if (this.#questions.size > 0) return this.#park();
    const late = this.#late;
    this.#late = undefined;
    if (late) return this.#answer(late);
    this.#exchange?.resume();
  }

  #answer(message: ScannedMessage): void {
    const visits = wantedVisits(message);
    if (visits === undefined) {
      const { method = '', uri } = this.#first.message;
      const id = raw(this.#present.message, this.#present.message.id);
      return this.#deliver(parted(message.bytes, modernEdits(message, id, { method, uri })));
    }
    if (!declares(this.#claims.capabilities, 'elicitation')) {
      const data = { requiredCapabilities: { elicitation: { url: {} } } };
      return this.#fail(codes.missingCapability, 'The server needs the capability elicitation', { data, status: 400 });
    }
    const questions = visits.map((params, at): [string, Question] => [
      `visit-${at + 1}`,
      { id: '', method: 'elicitation/create', params },
    ]);
    const state = this.#parked.again(this.#first.caller, this.#first.message);
    this.#respond(`"result":${inputRequired(new Map(questions), state)}`);
    this.#finish();
  }

  #reply(id: string, body: string): void {
    if (!this.#session) return;
    const { request } = this.#first;
    const answer = Buffer.from(`{"jsonrpc":"2.0","id":${id},${body}}`);
    void this.#sessions.ask({ ...request, headers: this.#session.headers, body: answer, safeToResend: false });
  }

  #respond(body: string, status = 200): void {
    const id = raw(this.#present.message, this.#present.message.id);
    this.#hand(Buffer.from(`{"jsonrpc":"2.0","id":${id},${body}}`), status);
  }

  /** @param answer bytes that are the answer together, and may change afterwards. */
  #deliver(answer: readonly Buffer[]): void {
    const handler = this.#handler;
    if (!handler || this.#streams) this.#hand(Buffer.concat(answer), 200);
    else {
      this.#handler = undefined;
      answerWith(handler, answer, this.#memory);
    }
    this.#finish();
  }

  /** Gives the client of this round its answer; nobody listens afterwards. */
  #hand(answer: Buffer, status: number): void {
    const handler = this.#handler;
    const streams = this.#streams;
    this.#handler = undefined;
    if (!handler) return;
    if (!streams) handler.onHead(headOf(status, jsonType, answer.length));
    handler.onData(streams ? Buffer.from(encodeEvent({ data: answer.toString('utf8') })) : answer, false);
    handler.onEnd();
  }

  #write(data: Buffer): void {
    if (!this.#handler) return;
    if (!this.#streams) {
      this.#streams = true;
      this.#handler.onHead(headOf(200, eventType, undefined));
    }
    this.#handler.onData(Buffer.from(encodeEvent({ data: data.toString('utf8') })), false);
  }

  #fail(code: number, message: string, { data, status = 200 }: { data?: unknown; status?: number } = {}): void {
    if (this.#over) return;
    this.#respond(`"error":${JSON.stringify({ code, message, ...(data === undefined ? {} : { data }) })}`, status);
    this.#cancel(message);
  }

  /** Tells the server that nobody waits any more. */
  #cancel(reason: string): void {
    if (this.#over) return;
    const { request } = this.#first;
    if (this.#session && this.#exchange) {
      const params = `{"requestId":${this.#id},"reason":${JSON.stringify(reason)}}`;
      void this.#sessions.say(this.#session, request, 'notifications/cancelled', params);
    }
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#handler = undefined;
    this.#reading?.forget();
    this.#exchange?.abort();
    this.#gathering?.[Symbol.dispose]();
    this.#patience?.[Symbol.dispose]();
    this.#parked.forget(this);
  }
}

/** What a client must have declared to be asked. */
const capabilities: ReadonlyMap<string, string> = new Map([
  ['elicitation/create', 'elicitation'],
  ['sampling/createMessage', 'sampling'],
  ['roots/list', 'roots'],
]);

/** Levels of log messages as raw JSON, the quietest first. */
const levels: readonly string[] = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'].map(
  (level) => JSON.stringify(level),
);

function declares(capabilitiesJson: string, name: string): boolean {
  const declared = JSON.parse(capabilitiesJson) as unknown;
  return typeof declared === 'object' && declared !== null && name in declared;
}

function inputRequired(questions: ReadonlyMap<string, Question>, state: string): string {
  const requests = [...questions].map(([key, { method, params }]) => {
    const said = params === undefined ? '' : `,"params":${params}`;
    return `${JSON.stringify(key)}:{"method":${JSON.stringify(method)}${said}}`;
  });
  return `{"resultType":"input_required","inputRequests":{${requests.join(',')}},"requestState":${JSON.stringify(state)}}`;
}

function isObject(json: string): boolean {
  return json.startsWith('{');
}

function raw({ bytes }: ScannedMessage, span: Span | undefined): string {
  return span ? bytes.toString('utf8', span.start, span.end) : 'null';
}
