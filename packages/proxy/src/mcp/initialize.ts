import { type SseEvent, type SseHandler, SseParser } from '../http/sse.ts';
import { memberValue, stringValue } from '../json/members.ts';
import type { UpstreamHead } from '../upstream/upstream.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import type { Standing } from './authorization.ts';
import { type Call, jsonHeaders } from './call.ts';
import { legacyCodec } from './codec/rev2025-11-25.ts';
import { type Refusal, refusals } from './errors.ts';
import { eventHeaders } from './event-relay.ts';
import { fail } from './guarded-handler.ts';
import { SharedStateError } from '../nodes/shared-state.ts';

/** Version that an `initialize` request asks for; empty when it names none. */
export function requestedVersion(call: Call): string {
  const { message } = call;
  const span = message?.params && memberValue(message.bytes, message.params, 'protocolVersion');
  return (span && stringValue(message.bytes, span)) ?? '';
}

/** Answers `initialize` from a JSON body: with it begins a session of the gateway's, sealed into its id. */
export function answerInitialize(
  call: Call,
  standing: Standing,
  rewriter: AnswerRewriter,
  { head, body }: { readonly head: UpstreamHead; readonly body: Buffer },
): void {
  const answer = rewriter.rewrite(body, standing);
  if (!answer) return call.refuse(refusals.upstreamInvalid);
  begin(call, standing, { version: answer.version, head }, (id) =>
    call.respond(200, id === '' ? jsonHeaders : [...jsonHeaders, sessionHeader, id], answer.bytes),
  );
}

/**
 * The events of an `initialize` answer, held until the result is among them: the head of our answer must name the
 * session, which needs the result.
 */
export class InitializeEvents implements SseHandler {
  readonly #call: Call;
  readonly #standing: Standing;
  readonly #rewriter: AnswerRewriter;
  readonly #head: UpstreamHead;
  readonly #parser: SseParser;
  readonly #before: Buffer[] = [];
  #held = 0;
  /** The result has come, and its session begins. */
  answered = false;

  constructor(call: Call, standing: Standing, rewriter: AnswerRewriter, head: UpstreamHead) {
    this.#call = call;
    this.#standing = standing;
    this.#rewriter = rewriter;
    this.#head = head;
    this.#parser = new SseParser(call.services.limits.eventBytes, this);
  }

  push(chunk: Buffer): void {
    if (!this.#call.ended) this.#parser.push(chunk);
  }

  onEvent(event: SseEvent): void {
    const call = this.#call;
    if (call.ended || this.answered) return;
    const answer = this.#rewriter.rewriteEvent(event, this.#standing);
    if (!answer) return this.#hold(event.raw);
    this.answered = true;
    begin(call, this.#standing, { version: answer.version, head: this.#head }, (id) => {
      const headers = id === '' ? eventHeaders : [...eventHeaders, sessionHeader, id];
      call.respond(200, headers, Buffer.concat([...this.#before, answer.bytes]));
    });
  }

  onTooLarge(): void {
    this.#call.refuse(refusals.upstreamTooLarge);
  }

  #hold(event: Buffer): void {
    this.#held += event.length;
    if (this.#held > this.#call.services.limits.eventBytes) this.onTooLarge();
    else this.#before.push(event);
  }
}

const sessionHeader = 'Mcp-Session-Id';
/** Characters of an upstream's session id, which is sent with every request. */
const maxUpstreamId = 8_192;

/** Begins the session. @param answer gets its id: at once, unless its facts have to be kept elsewhere. */
function begin(
  call: Call,
  standing: Standing,
  upstream: { readonly version: string | undefined; readonly head: UpstreamHead },
  answer: (id: string) => void,
): void {
  const id = beginSession(call, standing, upstream.version, upstream.head);
  if (typeof id === 'string') return answer(id);
  if (!(id instanceof Promise)) return call.refuse(id);
  id.then(answer, (error: unknown) => {
    if (error instanceof SharedStateError) call.refuse(refusals.sharedStateAway);
    else fail(call, error);
  });
}

/** @returns the sealed id; empty when the upstream answered with an error, which begins no session. */
function beginSession(
  call: Call,
  standing: Standing,
  version: string | undefined,
  head: UpstreamHead,
): string | Refusal | Promise<string> {
  if (version === undefined) return '';
  const upstreamId = head.header('mcp-session-id') ?? '';
  if (!legacyCodec.versions.includes(version) || upstreamId.length > maxUpstreamId) return refusals.upstreamInvalid;
  const { services } = call;
  const { entry } = standing.route;
  call.version = version;
  call.sessionName = services.random.uuid();
  return services.sessions.create({
    name: call.sessionName,
    tenant: entry.tenant,
    route: entry.name,
    backend: entry.mcp.sessionKey,
    principal: standing.credential.principal.id,
    version,
    upstreamId,
    expiresAt: services.clock.now() + services.limits.sessionMs,
  });
}
