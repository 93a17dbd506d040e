import type { ScannedMessage } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import { codes } from '../../mcp/errors.ts';
import type { NodeConversation, NodeFailure, NodeListener } from '../../nodes/node-calls.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../../upstream/upstream.ts';
import { ActingExchange } from '../acting-exchange.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { headOf, jsonType } from '../local-answer.ts';
import { errorAnswer } from '../own-answers.ts';
import type { ModernRequest } from './call.ts';
import type { ParkedCalls } from './parked-calls.ts';
import { roundParamsOf } from './to-legacy-request.ts';

/**
 * A client's answers to what a legacy server has asked within a call go to the node where the call waits; what becomes of
 * it comes back from there, as it would have been answered there (docs/rfd/0025). The other node checks the state again:
 * it belongs to this caller and request, or leads nowhere.
 */
export function handRetry(
  context: BridgeContext,
  node: string,
  retry: ModernRequest,
  handler: UpstreamHandler,
): UpstreamExchange {
  const answer = new RetryAnswer(context, retry, handler);
  const opening = JSON.stringify([retry.caller, retry.message.bytes.toString('utf8')]);
  const conversation = context.nodeCalls.begin(node, kind, opening, answer);
  answer.begin(conversation);
  return new ActingExchange({
    pause: () => conversation.say(orders.pause),
    resume: () => conversation.say(orders.resume),
    detach: () => undefined,
    abort: () => answer.abort(),
  });
}

/** This node takes retries of calls that wait here. */
export function takeRetries(context: BridgeContext, parked: ParkedCalls): void {
  context.nodeCalls.serve(kind, (opening, conversation) => {
    const [caller, body] = JSON.parse(opening) as [string, string];
    const scanned = scanBody(Buffer.from(body, 'utf8'), context.limits.requestScan);
    if (scanned.kind !== 'message') throw new Error('another node handed over what is no message');
    const { message } = scanned;
    const claimed = parked.claim(roundParamsOf(message).requestState ?? '""', caller, message);
    const handler = new HandedAnswer(conversation);
    if (claimed.kind === 'call') return listenerOf(claimed.call.comeBack({ message }, handler));
    const reason = claimed.kind === 'refused' ? claimed.reason : goneReason;
    handler.answer(200, errorAnswer(message, codes.invalidParams, reason));
    return nobody;
  });
}

const kind = 'parked-retry';
const orders = { pause: 'pause', resume: 'resume' } as const;
const goneReason = 'the node where the call waited is gone: make the request again without requestState';

/** What a node says of the answer to a retry. */
type Said =
  | readonly [type: 'head', status: number, contentType: string]
  | readonly [type: 'data', text: string]
  | readonly [type: 'error', error: UpstreamError];

/** The side of the node that the client has come to. */
class RetryAnswer implements NodeListener {
  readonly #context: BridgeContext;
  readonly #message: ScannedMessage;
  readonly #totalMs: number;
  readonly #handler: UpstreamHandler;
  #conversation: NodeConversation | undefined;
  #patience: Disposable | undefined;
  #begun = false;
  #over = false;

  constructor(context: BridgeContext, { request, message }: ModernRequest, handler: UpstreamHandler) {
    this.#context = context;
    this.#message = message;
    this.#totalMs = request.timeouts.totalMs;
    this.#handler = handler;
  }

  begin(conversation: NodeConversation): void {
    this.#conversation = conversation;
    if (this.#totalMs === 0) return;
    this.#patience = this.#context.clock.timer(this.#totalMs, () => {
      conversation.end();
      this.#break({ code: 'total-timeout', message: 'the other node did not answer in time', notAccepted: false });
    });
  }

  abort(): void {
    this.#close();
    this.#conversation?.end();
  }

  onSaid(text: string): void {
    if (this.#over) return;
    const said = JSON.parse(text) as Said;
    switch (said[0]) {
      case 'head':
        this.#begun = true;
        return this.#handler.onHead(headOf(said[1], { 'content-type': said[2] }, undefined));
      case 'data':
        return void this.#handler.onData(Buffer.from(said[1], 'utf8'), false);
      case 'error':
        return this.#break(said[1]);
    }
  }

  onEnd(): void {
    if (this.#over) return;
    if (!this.#begun) return this.#break(brokenOff);
    this.#close();
    this.#handler.onEnd();
  }

  onFailed(failure: NodeFailure): void {
    if (this.#over) return;
    if (this.#begun) return this.#break(brokenOff);
    this.#close();
    const body = Buffer.from(refusalOf(failure, this.#message));
    this.#handler.onHead(headOf(200, jsonType, body.length));
    this.#handler.onData(body, false);
    this.#handler.onEnd();
  }

  #break(error: UpstreamError): void {
    if (this.#over) return;
    this.#close();
    this.#handler.onError(error);
  }

  #close(): void {
    this.#over = true;
    this.#patience?.[Symbol.dispose]();
  }
}

const brokenOff: UpstreamError = {
  code: 'closed-early',
  message: 'the node where the call waited broke off its answer',
  notAccepted: false,
};

/** Only a node that is gone takes the call with it: after everything else the same state may be brought back again. */
function refusalOf(failure: NodeFailure, message: ScannedMessage): string {
  switch (failure) {
    case 'gone':
      return errorAnswer(message, codes.invalidParams, goneReason);
    case 'busy':
      return errorAnswer(message, codes.internal, 'The node where the call waits does too much; try again');
    case 'unreachable':
      return errorAnswer(message, codes.internal, 'What nodes share cannot be reached; try again');
    case 'too-large':
      return errorAnswer(message, codes.internal, 'The answer is too large to be handed from node to node');
  }
}

/** The side of the node where the call waits: what the call answers is said to the other one. */
class HandedAnswer implements UpstreamHandler {
  readonly #conversation: NodeConversation;

  constructor(conversation: NodeConversation) {
    this.#conversation = conversation;
  }

  answer(status: number, body: string): void {
    this.onHead(headOf(status, jsonType, body.length));
    this.onData(Buffer.from(body));
    this.onEnd();
  }

  onHead(head: UpstreamHead): void {
    this.#say(['head', head.status, head.header('content-type') ?? '']);
  }

  /** Whole messages come, so no character is ever cut. */
  onData(chunk: Buffer): void {
    this.#say(['data', chunk.toString('utf8')]);
  }

  onEnd(): void {
    this.#conversation.end();
  }

  onError(error: UpstreamError): void {
    this.#say(['error', error]);
    this.#conversation.end();
  }

  #say(said: Said): void {
    this.#conversation.say(JSON.stringify(said));
  }
}

/** A client that leaves the other node has cancelled the call, as it would have here; so has a node that is gone. */
function listenerOf(exchange: UpstreamExchange): NodeListener {
  return {
    onSaid: (order) => {
      if (order === orders.pause) exchange.pause();
      else exchange.resume();
    },
    onEnd: () => exchange.abort(),
    onFailed: () => exchange.abort(),
  };
}

const nobody: NodeListener = { onSaid: () => undefined, onEnd: () => undefined, onFailed: () => undefined };
