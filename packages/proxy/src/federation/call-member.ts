import { memberValue, stringValue } from '../json/members.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import { Answer } from '../mcp/answer.ts';
import { AnswerRewriter } from '../mcp/answer-rewriter.ts';
import { decideFor, type Standing } from '../mcp/authorization.ts';
import type { Call, CallTarget } from '../mcp/call.ts';
import type { MethodRule } from '../mcp/codec/codec.ts';
import { refusals } from '../mcp/errors.ts';
import { GuardedHandler } from '../mcp/guarded-handler.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { type Edit, splice } from '../mcp/splice.ts';
import { withTrace } from '../mcp/upstream-request.ts';
import type { Credential } from '../session/credential.ts';
import { federatedSession, legFor } from './legs.ts';
import { locate, type Located } from './locate.ts';
import { MemberAnswer } from './member-answer.ts';
import { sendToMember } from './member-exchange.ts';

/**
 * Sends a request about one tool, prompt or resource to the member that has it, under the name that it has there.
 * @param parameters `Mcp-Param-*` headers in place of the client's.
 */
export function callMember(call: Call, parameters?: readonly string[]): void {
  const message = call.message as ScannedMessage;
  const target = call.target as CallTarget;
  const key = keyOf(call.rule?.subject);
  const name = message.params && memberValue(message.bytes, message.params, key);
  if (!name) return call.refuse(refusals.internal);
  if (call.method === 'resources/subscribe') federatedSession(call).member(target.state).subscribed(target.own, true);
  if (call.method === 'resources/unsubscribe')
    federatedSession(call).member(target.state).subscribed(target.own, false);
  send(call, target, name, { name: target.own, parameters });
}

/** Member of `params` that names the subject. */
function keyOf(subject: MethodRule['subject'] | undefined): string {
  if (subject === 'task') return 'taskId';
  return subject === 'resource' ? 'uri' : 'name';
}

/** `resources/unsubscribe` is nobody's subject: who may not read a resource may still let go of it. */
export function unsubscribe(call: Call): void {
  const located = call.message?.uri === undefined ? 'nobody' : locate(call, 'resource', call.message.uri);
  if (located instanceof Promise || typeof located === 'string') return call.refuse(refusals.invalidParams);
  call.target = located;
  const { params, bytes } = call.message as ScannedMessage;
  const uri = params && memberValue(bytes, params, 'uri');
  if (!uri) return call.refuse(refusals.invalidParams);
  federatedSession(call).member(located.state).subscribed(located.own, false);
  send(call, located, uri, {});
}

/** Sends `completion/complete` to the member whose prompt or template it is about, if its client may see that. */
export async function completeAtMember(call: Call): Promise<void> {
  const { bytes, params } = call.message as ScannedMessage;
  const reference = params && memberValue(bytes, params, 'ref');
  const asked = reference && completed(bytes, reference);
  if (!asked) return call.refuse(refusals.invalidParams, { message: 'params.ref must name a prompt or a resource' });
  const { kind, text, span } = asked;
  const located: Located = await locate(call, kind, text);
  if (call.ended) return;
  const standing: Standing = { route: call.route as RouteState, credential: call.credential as Credential };
  if (typeof located !== 'string') call.target = located;
  const subject = kind === 'prompt' ? ({ kind, name: text } as const) : ({ kind: 'resource', uri: text } as const);
  if (typeof located === 'string' || !decideFor(call, standing, subject).allowed) {
    call.decision = 'deny';
    return call.refuse(refusals.invalidParams, { message: `Unknown ${kind}: ${text}` });
  }
  send(call, located, span, {});
}

interface Reference {
  readonly kind: 'prompt' | 'resource';
  readonly text: string;
  /** Where the text stands. */
  readonly span: Span;
}

function completed(bytes: Buffer, reference: Span): Reference | undefined {
  const name = memberValue(bytes, reference, 'name');
  const uri = memberValue(bytes, reference, 'uri');
  const type = memberValue(bytes, reference, 'type');
  const kind = type && stringValue(bytes, type) === 'ref/resource' ? 'resource' : 'prompt';
  const span = kind === 'resource' ? uri : name;
  const text = span && stringValue(bytes, span);
  return span === undefined || text === undefined ? undefined : { kind, text, span };
}

interface ModernParts {
  /** What `Mcp-Name` says; absent for methods without. */
  readonly name?: string | undefined;
  /** `Mcp-Param-*` headers; absent: those of the client. */
  readonly parameters?: readonly string[] | undefined;
}

/**
 * @param place where the presented name stands in the message.
 * @param modern what headers of the modern era say.
 */
function send(call: Call, { state, own }: CallTarget, place: Span, { name, parameters }: ModernParts): void {
  const { services, exchange } = call;
  const { bytes, id } = call.message as ScannedMessage;
  if (!id) return call.refuse(refusals.internal);
  const leg = legFor(call, state);
  call.leg = leg;
  const upstreamId = services.requestIds.mint(bytes, id, call.subject);
  const rewriter = new AnswerRewriter(call, { request: bytes, id }, upstreamId, new MemberAnswer(call, leg));
  const standing: Standing = { route: call.route as RouteState, credential: call.credential as Credential };
  const answer = new Answer(call, standing, rewriter);
  call.session?.begin(answer);
  const edits: Edit[] = [...call.edits, { ...id, text: upstreamId }, { ...place, text: JSON.stringify(own) }];
  const body = splice(
    bytes,
    edits.sort((a, b) => a.start - b.start),
  );
  const headers = withTrace(
    call,
    call.era === 'modern' ? (parameters ?? exchange.head.withPrefix('mcp-param-')) : none,
  );
  const repeatable = call.rule?.repeatable ?? false;
  exchange.onClientGone(() => answer.clientGone());
  call.watchTables(answer);
  answer.upstream = sendToMember(
    services,
    leg,
    { verb: 'POST', method: call.method, name, headers, body, repeatable, isCall: call.subject !== undefined },
    new GuardedHandler(call, answer),
  );
}

const none: readonly string[] = [];
