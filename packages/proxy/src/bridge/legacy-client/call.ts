import { encodeEvent, type SseEvent } from '../../http/sse.ts';
import { memberValue, objectMembers, stringValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import { codes } from '../../mcp/errors.ts';
import { parted, spliceText } from '../../mcp/splice.ts';
import { traceOf } from '../../mcp/upstream-request.ts';
import type {
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamHead,
  UpstreamRequest,
} from '../../upstream/upstream.ts';
import { type AnswerMemory, answerWith } from '../answer-memory.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { questionId } from './handed-answer.ts';
import type { BridgedSession, ClientFacts } from './session.ts';
import { eventType, headOf } from '../local-answer.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import { needsTasks, type TaskListener, TaskWait, withTasks } from './task-wait.ts';
import { legacyEdits, resultKind } from './to-legacy.ts';
import { modernRequestHeaders, type Round, toModernBody } from './to-modern.ts';
import type { ToolHeaders } from './tool-headers.ts';
import { WholeRequest } from '../whole-request.ts';

/**
 * One request of a legacy client at a modern server.
 *
 * 1. What the server asks for (`input_required`) goes to the client as real requests on the stream that answers the
 *    call; when all are answered the call is made again, as a new request, with the answers and the server's state.
 * 2. Rounds are bounded in number, and each in the time that the client may take.
 * 3. Notifications about the call go on as they come; the answer is worded in the client's era.
 */
export class BridgedCall extends WholeRequest implements UpstreamExchange, AnswerListener, TaskListener {
  readonly #context: BridgeContext;
  readonly #toolHeaders: ToolHeaders;
  readonly #memory: AnswerMemory;
  readonly #session: BridgedSession;
  readonly #request: UpstreamRequest;
  readonly #message: ScannedMessage;
  readonly #handler: UpstreamHandler;
  /** Raw JSON of the id that the client's side gave the request. */
  readonly #id: string;
  #exchange: UpstreamExchange | undefined;
  #reading: ServerAnswer | undefined;
  #round = 0;
  /** The answer has begun as a stream. */
  #streams = false;
  #over = false;
  /** Answers of the client by key, raw JSON; undefined while one is waited for. */
  #answers = new Map<string, string | undefined>();
  /** Keys by the raw JSON of the id of the question. */
  readonly #keys = new Map<string, string>();
  /** Raw JSON of what the server wants back. */
  #state: string | undefined;
  #patience: Disposable | undefined;
  /** The round that was sent last. */
  #sent: Round | undefined;
  /** Its server's tools were looked at for this call. */
  #learned = false;
  /** What the server hears of the client: with tasks, once it has said that it needs them. */
  #facts: ClientFacts;
  /** The server has made a task of the call. */
  #task: TaskWait | undefined;

  constructor(
    {
      context,
      toolHeaders,
      memory,
    }: { readonly context: BridgeContext; readonly toolHeaders: ToolHeaders; readonly memory: AnswerMemory },
    session: BridgedSession,
    { request, message }: { readonly request: UpstreamRequest; readonly message: ScannedMessage },
    handler: UpstreamHandler,
  ) {
    super();
    this.#context = context;
    this.#toolHeaders = toolHeaders;
    this.#memory = memory;
    this.#session = session;
    this.#facts = session.facts;
    this.#request = request;
    this.#message = message;
    this.#handler = handler;
    this.#id = raw(message, message.id);
  }

  begin(): this {
    this.#session.running.set(this.#id, this);
    this.#send(undefined);
    return this;
  }

  pause(): void {
    this.#exchange?.pause();
  }

  resume(): void {
    this.#exchange?.resume();
  }

  detach(): void {
    this.#exchange?.detach();
  }

  abort(): void {
    this.#finish();
  }

  /** The client takes the call back: the server's stream is closed, and the answer says so. */
  cancel(): void {
    this.#task?.cancel();
    this.#fail(codes.server, 'The request was cancelled');
  }

  /** An answer of the client to a question of this call. */
  answered(id: string, answer: ScannedMessage): void {
    const key = this.#keys.get(id);
    if (key === undefined || this.#over) return;
    this.#keys.delete(id);
    this.#session.asked.delete(id);
    if (!answer.result) {
      return this.#fail(codes.internal, `The client did not answer what the server asked: ${errorText(answer)}`);
    }
    this.#answers.set(key, raw(answer, answer.result));
    if (this.#keys.size === 0) this.#again();
  }

  onMessage(message: ScannedMessage, event: SseEvent): void {
    // A modern server asks nothing on its stream; what looks like it is not for the client.
    if (!this.#over && !message.id) this.#write(event.raw);
  }

  onAnswer(message: ScannedMessage): boolean {
    if (this.#over || this.#learnsHeaders(message) || this.#asksForTask(message)) return false;
    switch (message.result ? resultKind(message) : 'complete') {
      case 'complete':
        return this.#complete(message);
      case 'input_required':
        this.#ask(message, message.result as Span);
        break;
      case 'task':
        this.#wait(message, message.result as Span);
        break;
      case 'unknown':
        this.#fail(codes.internal, 'The server answered with a kind of result that the client cannot take');
    }
    return false;
  }

  /** @returns true if nobody holds the answer any more. */
  #complete(answer: ScannedMessage): boolean {
    const { method = '' } = this.#message;
    const isList = method === 'tools/list';
    const shown = isList ? this.#toolHeaders.saw(this.#request, answer) : answer;
    this.#deliver(parted(shown.bytes, legacyEdits(shown, this.#id, method)));
    return !isList;
  }

  /** The server misses headers of a call: its tools are looked at anew, and the call is made once more. */
  #learnsHeaders({ bytes, error }: ScannedMessage): boolean {
    const code = error && memberValue(bytes, error, 'code');
    if (!code || this.#learned || this.#message.method !== 'tools/call') return false;
    if (Number(text(bytes, code)) !== codes.headerMismatch) return false;
    this.#learned = true;
    this.#reading?.forget();
    this.#toolHeaders.refresh(this.#request, this.#session.facts, () => {
      if (!this.#over) this.#send({ ...this.#sent, id: `${(this.#sent?.id ?? this.#id).slice(0, -1)}.h"` });
    });
    return true;
  }

  onOther(head: UpstreamHead, body: Buffer): void {
    if (this.#over) return;
    if (this.#streams) return this.#fail(codes.internal, `The server answered with status ${head.status}`);
    this.#finish();
    this.#handler.onHead(head);
    if (body.length > 0) this.#handler.onData(body, false);
    this.#handler.onEnd();
  }

  onBroken(error: UpstreamError): void {
    if (this.#over) return;
    if (this.#streams) return this.#fail(codes.internal, 'The server broke off its answer');
    this.#finish();
    this.#handler.onError(error);
  }

  #send(round: Round | undefined): void {
    this.#sent = round;
    const { level } = this.#session;
    const { limits, upstream } = this.#context;
    const reading = new ServerAnswer(this, limits, this.#memory);
    this.#reading = reading;
    this.#answers = new Map();
    this.#exchange = upstream.dispatch(
      {
        ...this.#request,
        headers: modernRequestHeaders(this.#message, [
          ...this.#toolHeaders.of(this.#request, this.#message),
          ...traceOf(this.#request.headers),
        ]),
        body: toModernBody(this.#message, this.#facts, { level, round }),
      },
      reading,
    );
  }

  #ask({ bytes }: ScannedMessage, result: Span): void {
    const { limits } = this.#context;
    const state = memberValue(bytes, result, 'requestState');
    const requests = memberValue(bytes, result, 'inputRequests');
    this.#state = state && text(bytes, state);
    this.#round += 1;
    if (this.#round > limits.bridge.rounds) {
      return this.#fail(codes.internal, `The server asks more than ${limits.bridge.rounds} times`);
    }
    this.#question(bytes, requests ? objectMembers(bytes, requests) : []);
  }

  /** The server can do the call only as a task: it is made again by a client that knows tasks, which is the gateway. */
  #asksForTask(message: ScannedMessage): boolean {
    if (this.#facts !== this.#session.facts || !needsTasks(message)) return false;
    this.#facts = withTasks(this.#facts);
    this.#reading?.forget();
    this.#send({ ...this.#sent, id: `${(this.#sent?.id ?? this.#id).slice(0, -1)}.t"` });
    return true;
  }

  #wait(message: ScannedMessage, created: Span): void {
    const parts = { context: this.#context, request: this.#request, facts: this.#facts };
    this.#task = new TaskWait(parts, message, created, this);
    this.#task.begin();
  }

  onTaskAsks(bytes: Buffer, requests: readonly { readonly key: string; readonly value: Span }[]): void {
    this.#answers = new Map();
    this.#question(bytes, requests);
  }

  onTaskOver(outcome: string): void {
    const bytes = Buffer.from(`{"jsonrpc":"2.0","id":${this.#id},${outcome}}`);
    const scanned = scanBody(bytes, this.#context.limits.responseScan);
    if (scanned.kind === 'message') this.#complete(scanned.message);
    else this.#fail(codes.internal, 'The server answered with a result that is not MCP');
  }

  onTaskLost(reason: string): void {
    this.#fail(codes.internal, `The task of the server was lost: ${reason}`);
  }

  #question(bytes: Buffer, requests: readonly { readonly key: string; readonly value: Span }[]): void {
    const { clock, limits, random } = this.#context;
    const questions: string[] = [];
    for (const { key, value } of requests) {
      const question = questionOf(bytes, value, random.uuid());
      if (question === undefined) return this.#fail(codes.internal, 'The server asks for something unknown');
      const id = questionId(this.#context);
      this.#keys.set(id, key);
      this.#answers.set(key, undefined);
      this.#session.asked.set(id, this);
      questions.push(encodeEvent({ data: `{"jsonrpc":"2.0","id":${id},${question}}` }));
    }
    if (questions.length === 0) return this.#again();
    this.#patience = clock.timer(limits.bridge.answerMs, () =>
      this.#fail(codes.internal, `The client did not answer within ${limits.bridge.answerMs} ms`),
    );
    for (const question of questions) this.#write(question);
  }

  #again(): void {
    this.#patience?.[Symbol.dispose]();
    this.#patience = undefined;
    const members = [...this.#answers].map(([key, answer]) => `${JSON.stringify(key)}:${answer ?? 'null'}`);
    const inputResponses = members.length === 0 ? undefined : `{${members.join(',')}}`;
    if (this.#task) return this.#task.update(inputResponses ?? '{}');
    this.#send({ id: `${this.#id.slice(0, -1)}.${this.#round}"`, inputResponses, requestState: this.#state });
  }

  /** @param answer bytes that are the answer together, and may change afterwards. */
  #deliver(answer: readonly Buffer[]): void {
    const streams = this.#streams;
    this.#finish();
    if (!streams) return answerWith(this.#handler, answer, this.#memory);
    this.#handler.onData(Buffer.from(encodeEvent({ data: Buffer.concat(answer).toString('utf8') })), false);
    this.#handler.onEnd();
  }

  #write(event: Buffer | string): void {
    if (this.#over) return;
    if (!this.#streams) {
      this.#streams = true;
      this.#handler.onHead(headOf(200, eventType, undefined));
    }
    this.#handler.onData(typeof event === 'string' ? Buffer.from(event) : event, false);
  }

  #fail(code: number, message: string): void {
    if (this.#over) return;
    const error = JSON.stringify({ code, message });
    this.#deliver([Buffer.from(`{"jsonrpc":"2.0","id":${this.#id},"error":${error}}`)]);
  }

  #finish(): void {
    this.#over = true;
    this.#reading?.forget();
    this.#exchange?.abort();
    this.#task?.stop();
    this.#patience?.[Symbol.dispose]();
    this.#session.running.delete(this.#id);
    for (const id of this.#keys.keys()) this.#session.asked.delete(id);
    this.#keys.clear();
  }
}

/** Method and params of a question as a legacy request has them; undefined for what no client can be asked. */
function questionOf(bytes: Buffer, request: Span, elicitationId: string): string | undefined {
  const methodSpan = memberValue(bytes, request, 'method');
  const method = methodSpan && stringValue(bytes, methodSpan);
  const params = memberValue(bytes, request, 'params');
  if (method === 'roots/list')
    return params ? `"method":"roots/list","params":${text(bytes, params)}` : '"method":"roots/list"';
  if ((method !== 'elicitation/create' && method !== 'sampling/createMessage') || !params) return undefined;
  const mode = memberValue(bytes, params, 'mode');
  const isUrl = method === 'elicitation/create' && mode !== undefined && stringValue(bytes, mode) === 'url';
  // The legacy era names every elicitation by URL; the modern one does not.
  const named = isUrl
    ? spliceText(bytes, { start: params.start + 1, end: params.start + 1 }, `"elicitationId":"${elicitationId}",`)
    : bytes;
  const end = params.end + named.length - bytes.length;
  return `"method":"${method}","params":${named.toString('utf8', params.start, end)}`;
}

function errorText({ bytes, error }: ScannedMessage): string {
  const span = error && memberValue(bytes, error, 'message');
  return (span && stringValue(bytes, span)) ?? 'no result';
}

function raw({ bytes }: ScannedMessage, span: Span | undefined): string {
  return span ? text(bytes, span) : 'null';
}

function text(bytes: Buffer, { start, end }: Span): string {
  return bytes.toString('utf8', start, end);
}
