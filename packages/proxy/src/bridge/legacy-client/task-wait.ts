import { memberValue, objectMembers, stringValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { codes } from '../../mcp/errors.ts';
import { traceOf } from '../../mcp/upstream-request.ts';
import type { UpstreamError, UpstreamHead, UpstreamRequest } from '../../upstream/upstream.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import type { ClientFacts } from './session.ts';
import { metaMembers, modernRequestHeaders } from './to-modern.ts';

/** Hears of a task. Exactly one of the last two comes, and nothing after it. */
export interface TaskListener {
  /** The server wants input. @param requests by key, those that it has not asked for before. */
  onTaskAsks(bytes: Buffer, requests: readonly { readonly key: string; readonly value: Span }[]): void;
  /** @param outcome raw JSON: the member `result` or `error` of the answer to the call. */
  onTaskOver(outcome: string): void;
  onTaskLost(reason: string): void;
}

/**
 * A call that its server has made a task of (extension `io.modelcontextprotocol/tasks`), for a client that knows no tasks: it
 * is asked for until it is over, as often as the server would like and within bounds.
 */
export class TaskWait implements AnswerListener {
  readonly #context: BridgeContext;
  readonly #request: UpstreamRequest;
  readonly #facts: ClientFacts;
  readonly #listener: TaskListener;
  /** Raw JSON. */
  readonly #taskId: string;
  readonly #name: string;
  readonly #pollMs: number;
  readonly #asked = new Set<string>();
  readonly #deadline: Disposable;
  #timer: Disposable | undefined;
  #reading: ServerAnswer | undefined;
  #over = false;

  /** @param created the result that says that there is a task. */
  constructor(
    { context, request, facts }: { context: BridgeContext; request: UpstreamRequest; facts: ClientFacts },
    { bytes }: ScannedMessage,
    created: Span,
    listener: TaskListener,
  ) {
    const { clock, limits } = context;
    const id = memberValue(bytes, created, 'taskId');
    const wanted = memberValue(bytes, created, 'pollIntervalMs');
    const pollMs = wanted ? Number(bytes.toString('latin1', wanted.start, wanted.end)) : 0;
    this.#context = context;
    this.#request = request;
    this.#facts = facts;
    this.#listener = listener;
    this.#taskId = id ? bytes.toString('utf8', id.start, id.end) : 'null';
    this.#name = (id && stringValue(bytes, id)) ?? '';
    this.#pollMs = Math.max(limits.bridge.taskPollMs, Math.min(pollMs || 0, limits.callMs));
    this.#deadline = clock.timer(limits.callMs, () => this.#giveUp());
  }

  begin(): void {
    this.#timer = this.#context.clock.timer(this.#pollMs, () => {
      this.#reading = new ServerAnswer(this, this.#context.limits);
      this.#send('tasks/get', '', this.#reading);
    });
  }

  /** The client has answered what the server asked. @param responses raw JSON of the answers by key. */
  update(responses: string): void {
    if (this.#over) return;
    this.#send('tasks/update', `,"inputResponses":${responses}`, this.#ignored());
    this.begin();
  }

  /** Nobody waits any more: the server hears of it. */
  cancel(): void {
    if (this.#over) return;
    this.#send('tasks/cancel', '', this.#ignored());
    this.stop();
  }

  stop(): void {
    this.#over = true;
    this.#reading?.forget();
    this.#timer?.[Symbol.dispose]();
    this.#deadline[Symbol.dispose]();
  }

  onMessage(): void {}

  onAnswer({ bytes, result, error }: ScannedMessage): void {
    if (this.#over) return;
    if (!result) return this.#end(() => this.#listener.onTaskLost(`the server lost the task: ${textOf(bytes, error)}`));
    const member = (name: string): Span | undefined => memberValue(bytes, result, name);
    const status = member('status');
    switch ((status && stringValue(bytes, status)) ?? '') {
      case 'completed':
        return this.#end(() => this.#listener.onTaskOver(`"result":${textOf(bytes, member('result'))}`));
      case 'failed':
        return this.#end(() => this.#listener.onTaskOver(`"error":${textOf(bytes, member('error'))}`));
      case 'cancelled':
        return this.#end(() => this.#listener.onTaskOver(`"error":${JSON.stringify(cancelled)}`));
      case 'input_required':
        return this.#ask(bytes, member('inputRequests'));
      default:
        return this.begin();
    }
  }

  onOther({ status }: UpstreamHead): void {
    this.#end(() => this.#listener.onTaskLost(`the server answered with status ${status}`));
  }

  onBroken({ message }: UpstreamError): void {
    this.#end(() => this.#listener.onTaskLost(message));
  }

  /** Keys are never used twice in a task: what was asked before waits for the server to have seen the answer. */
  #ask(bytes: Buffer, requests: Span | undefined): void {
    const fresh = (requests ? objectMembers(bytes, requests) : []).filter(({ key }) => !this.#asked.has(key));
    if (fresh.length === 0) return this.begin();
    for (const { key } of fresh) this.#asked.add(key);
    this.#listener.onTaskAsks(bytes, fresh);
  }

  #giveUp(): void {
    this.cancel();
    this.#listener.onTaskLost(`the task was not over within ${this.#context.limits.callMs} ms`);
  }

  #end(tell: () => void): void {
    if (this.#over) return;
    this.stop();
    tell();
  }

  #send(method: string, more: string, handler: ServerAnswer): void {
    const { upstream, random } = this.#context;
    const id = JSON.stringify(`sbw.${random.bytes(9).toString('base64url')}`);
    const params = `{"taskId":${this.#taskId}${more},"_meta":{${metaMembers(this.#facts)}}}`;
    upstream.dispatch(
      {
        ...this.#request,
        headers: modernRequestHeaders({ method, name: this.#name, uri: undefined }, traceOf(this.#request.headers)),
        body: Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`),
        safeToResend: method !== 'tasks/update',
      },
      handler,
    );
  }

  #ignored(): ServerAnswer {
    const nothing = (): void => undefined;
    const listener = { onMessage: nothing, onAnswer: nothing, onOther: nothing, onBroken: nothing };
    return new ServerAnswer(listener, this.#context.limits);
  }
}

const cancelled = { code: codes.server, message: 'The task was cancelled' };

function textOf(bytes: Buffer, span: Span | undefined): string {
  return span ? bytes.toString('utf8', span.start, span.end) : '{}';
}

const extension = 'io.modelcontextprotocol/tasks';

/** Whether a server cannot serve a call of a client that has not declared tasks. */
export function needsTasks({ bytes, error }: ScannedMessage): boolean {
  const code = error && memberValue(bytes, error, 'code');
  if (!code || Number(textOf(bytes, code)) !== codes.missingCapability) return false;
  let span = memberValue(bytes, error, 'data');
  for (const key of ['requiredCapabilities', 'extensions', extension]) span = span && memberValue(bytes, span, key);
  return span !== undefined;
}

/** What the client can do, and tasks. */
export function withTasks(facts: ClientFacts): ClientFacts {
  const able = JSON.parse(facts.capabilities) as Readonly<Record<string, unknown>>;
  const extensions = { ...(able['extensions'] as object | undefined), [extension]: {} };
  return { ...facts, capabilities: JSON.stringify({ ...able, extensions }) };
}
