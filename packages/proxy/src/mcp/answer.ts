import type { RoutingTable } from '@signalbox/config';
import { notRostered } from '@signalbox/runtime';
import type { MemberLeg } from '../federation/member-leg.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import type { Standing } from './authorization.ts';
import { type Call, jsonHeaders, type SeesTables } from './call.ts';
import { CallRole, type CallUnderWay } from './call-stream.ts';
import { cancelUpstream } from './cancelled.ts';
import { endings, type Refusal, refusals } from './errors.ts';
import { EventRelay, eventHeaders } from './event-relay.ts';
import { answerInitialize, InitializeEvents } from './initialize.ts';
import type { ExpectedList } from './list-memory.ts';
import { PassThrough } from './pass-through.ts';
import { recheck } from './recheck.ts';
import { type ListenFilter, ListenRole } from './subscriptions-listen.ts';
import { answerUpstreamRefusal, refusalOf } from './upstream-failure.ts';

/**
 * The upstream's answer to a request on its way to the client, under the client's own id.
 *
 * JSON: a small answer is held and sent at once with its length; a larger one passes through unread; one that policy
 * must look into is held whole. Event streams go to an `EventRelay`.
 */
export class Answer implements UpstreamHandler, CallUnderWay, SeesTables {
  /** Set as soon as the request is on its way. */
  upstream: UpstreamExchange | undefined;
  readonly borrows = true;
  place = notRostered;
  /** Of a `subscriptions/listen`. */
  listens: ListenFilter | undefined;
  readonly #call: Call;
  #standing: Standing;
  readonly #rewriter: AnswerRewriter;
  #head: UpstreamHead | undefined;
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** What the call holds of limits, once it goes on without its client. */
  #held: Disposable | undefined;
  #isOver = false;
  /** The whole answer as the client gets it, until its end is told. */
  #rewritten: Buffer | undefined;
  /** A list that was seen before: what came so far is the same. */
  #expected: ExpectedList | undefined;
  /** Memory that it was written into, to be used again. */
  #memory: Buffer | undefined;
  #pass: PassThrough | undefined;
  #events: EventRelay | undefined;
  #initialize: InitializeEvents | undefined;

  constructor(call: Call, standing: Standing, rewriter: AnswerRewriter) {
    this.#call = call;
    this.#standing = standing;
    this.#rewriter = rewriter;
  }

  get leg(): MemberLeg | undefined {
    return this.#call.leg;
  }

  get clientId(): string {
    return this.#rewriter.clientId;
  }

  get upstreamId(): string {
    return this.#rewriter.upstreamId;
  }

  cancel(): void {
    cancelUpstream(this.#call, this.upstreamId);
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
    if (this.#call.ended || head.status !== 200) return;
    const type = head.header('content-type') ?? '';
    if (type.startsWith('application/json')) return this.#expectList();
    if (type.startsWith('text/event-stream')) this.#openEvents(head);
    else this.#giveUp(refusals.upstreamInvalid);
  }

  onData(chunk: Buffer, lent: boolean): boolean {
    if (this.#expected && this.#isExpected(this.#expected, chunk)) return true;
    if (this.#pass) return this.#pass.push(chunk, lent);
    if (lent && this.#rewriteWhole(chunk)) return false;
    if (this.#passesAtOnce(chunk)) return this.#beginPass().push(chunk, lent);
    const kept = lent ? Buffer.from(chunk) : chunk;
    if (this.#events) this.#events.push(kept);
    else if (this.#initialize) this.#initialize.push(kept);
    else if (!this.#call.ended) this.#hold(kept);
    return false;
  }

  onEnd(): void {
    this.#upstreamEnded();
    if (this.#events) this.#events.upstreamEnded(undefined);
    else if (this.#pass) this.#pass.finish();
    else if (this.#call.ended) this.#chunks = [];
    else if (this.#rewritten) this.#sendWhole(this.#rewritten);
    else if (this.#expected) this.#finishExpected(this.#expected);
    else if (this.#initialize?.answered === true) return;
    else if (this.#initialize) this.#giveUp(refusals.upstreamInvalid);
    else this.#finishHeld(this.#takeHeld());
  }

  onError(error: UpstreamError): void {
    this.#upstreamEnded();
    if (this.#events) this.#events.upstreamEnded(refusalOf(error));
    else this.#call.abandon(refusalOf(error));
  }

  /**
   * The client left. On the modern era that cancels: the upstream connection is cut. On the legacy era it means
   * nothing: the upstream goes on, and what it says is read and dropped, since its client may come back for it.
   */
  clientGone(): void {
    const modern = this.#call.era === 'modern';
    if (!modern) this.goesOn();
    const error = modern ? endings.clientCancelled : endings.clientGone;
    if (modern) this.upstream?.abort();
    else this.upstream?.resume();
    this.#chunks = [];
    if (this.#events) this.#events.clientGone(error);
    else this.#call.end(error);
  }

  #upstreamEnded(): void {
    this.#call.session?.end(this);
    this.isOver();
  }

  /** Without its client, but still under way: what it holds of limits it holds on to. */
  goesOn(): void {
    if (this.#isOver) return;
    this.#held ??= this.#call.held;
    this.#call.held = undefined;
  }

  isOver(): void {
    this.#isOver = true;
    this.#held?.[Symbol.dispose]();
  }

  /**
   * Permission is not pinned, whatever form the answer takes: a call that is no longer allowed ends, and its answer goes
   * nowhere (docs/rfd/0012). One whose route or backend is gone runs on to its deadline.
   */
  recheck(next: RoutingTable): void {
    const checked = recheck(this.#call, this.#standing, next, []);
    if (checked.kind === 'allowed') this.#standing = checked.standing;
    else if (checked.kind === 'ended' && isWithdrawn(checked.refusal))
      this.#withdraw(checked.refusal, checked.revision);
  }

  /** The common case: the answer came in one piece, and only its id changes. Then it is copied once, id and all. */
  #rewriteWhole(chunk: Buffer): boolean {
    const head = this.#head as UpstreamHead;
    const isWhole = chunk.length === head.contentLength && head.status === 200;
    if (!isWhole || this.#events || this.#initialize || this.#rewriter.inspects || this.#call.ended) return false;
    if (chunk.length > smallBytes) this.#memory = this.#call.services.answerBuffers.take();
    this.#rewritten = this.#rewriter.rewriteId(chunk, this.#memory);
    return this.#rewritten !== undefined;
  }

  #expectList(): void {
    const call = this.#call;
    if (call.rule?.list === undefined) return;
    this.#expected = call.services.listMemory.expect(call, this.#standing, this.upstreamId);
  }

  #isExpected(expected: ExpectedList, chunk: Buffer): boolean {
    if (expected.push(chunk)) return true;
    this.#expected = undefined;
    this.#hold(expected.received);
    return false;
  }

  #finishExpected(expected: ExpectedList): void {
    const call = this.#call;
    if (!expected.isWhole(this.#standing)) return this.#finishHeld(expected.received);
    const { before, behind } = expected.shown;
    const id = this.#rewriter.clientIdBytes;
    const writer = call.stream(200, jsonHeaders, before.length + id.length + behind.length);
    // What is long is written as it is: it is remembered, and never changes.
    writer.write(before.length < behind.length ? Buffer.concat([before, id]) : before);
    writer.end(before.length < behind.length ? behind : Buffer.concat([id, behind]));
    call.end('');
  }

  #sendWhole(answer: Buffer): void {
    const { answerBuffers } = this.#call.services;
    if (this.#call.respond(200, jsonHeaders, answer) && this.#memory) answerBuffers.give(this.#memory);
    this.#memory = undefined;
  }

  #hold(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    const { wholeAnswerBytes, heldAnswerBytes } = this.#call.services.limits;
    const isLarge = this.#heldBytes > wholeAnswerBytes && this.#head?.status === 200;
    if (isLarge && this.#rewriter.mayPass(this.#chunks[0] as Buffer)) this.#beginPass().push(this.#takeHeld(), false);
    else if (this.#heldBytes > heldAnswerBytes) this.#giveUp(refusals.upstreamTooLarge);
  }

  /** A large answer, by its announced length, of which enough has come to see its id, goes on from its first piece. */
  #passesAtOnce(first: Buffer): boolean {
    const { contentLength = 0, status } = this.#head as UpstreamHead;
    if (contentLength <= this.#call.services.limits.wholeAnswerBytes || status !== 200 || this.#heldBytes > 0)
      return false;
    if (this.#events || this.#initialize || this.#call.ended) return false;
    return first.length >= this.#rewriter.upstreamId.length + idRoom && this.#rewriter.mayPass(first);
  }

  #beginPass(): PassThrough {
    this.#pass = new PassThrough(this.#call, this.#rewriter, this.upstream, this.#head?.contentLength);
    return this.#pass;
  }

  #takeHeld(): Buffer {
    const [first] = this.#chunks;
    const held = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks);
    this.#chunks = [];
    return held;
  }

  #finishHeld(body: Buffer): void {
    const call = this.#call;
    const head = this.#head as UpstreamHead;
    if (head.status !== 200) return answerUpstreamRefusal(call, head, body);
    if (call.rule?.special === 'initialize') {
      return answerInitialize(call, this.#standing, this.#rewriter, { head, body });
    }
    const answer = this.#rewriter.rewrite(body, this.#standing);
    if (answer) call.respond(200, jsonHeaders, answer.bytes);
    else this.#giveUp(refusals.upstreamInvalid);
  }

  #openEvents(head: UpstreamHead): void {
    const call = this.#call;
    if (call.rule?.special === 'initialize') {
      this.#initialize = new InitializeEvents(call, this.#standing, this.#rewriter, head);
      return;
    }
    const role = this.listens ? new ListenRole(this.#rewriter, this.listens) : new CallRole(call, this.#rewriter, this);
    const { clientId, inspects } = this.#rewriter;
    // A list shows what its caller may see when it is asked for, not when it is come back for.
    const about = inspects ? undefined : ({ kind: 'call', clientId, subject: call.subject } as const);
    const relay = new EventRelay(call, this.#standing, role, about);
    call.unwatchTables();
    if (relay.open(eventHeaders, this.upstream)) this.#events = relay;
    else call.session?.end(this);
  }

  #giveUp(refusal: Refusal): void {
    this.#call.services.requestMetrics.upstreamInvalid.add();
    this.#stop();
    this.#call.abandon(refusal);
  }

  #withdraw(refusal: Refusal, revision: number): void {
    this.#stop();
    cancelUpstream(this.#call, this.upstreamId);
    const message = `${refusal.message} (revision ${revision})`;
    this.#call.abandon(refusal, { message, data: { reason: refusal.name, revision } });
  }

  /** Nothing more is taken from the upstream. */
  #stop(): void {
    this.#chunks = [];
    this.upstream?.abort();
    this.#upstreamEnded();
  }
}

function isWithdrawn(refusal: Refusal): boolean {
  return withdrawals.includes(refusal);
}

/** Bytes in front of an id at the head of an answer, and some. */
const idRoom = 128;
const withdrawals: readonly Refusal[] = [
  refusals.permissionWithdrawn,
  refusals.credentialWithdrawn,
  refusals.quarantined,
];

/** Answers up to this size, in bytes, are cheaper in memory of their own. */
const smallBytes = 4_096;
