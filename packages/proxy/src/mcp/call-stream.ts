import type { McpSubject } from '@signalbox/config';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import { scanBody } from '../json/scan.ts';
import type { InFlight } from '../session/sessions.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import type { Standing } from './authorization.ts';
import type { Call } from './call.ts';
import { cancelUpstream } from './cancelled.ts';
import { errorMessage, type Refusal, refusals } from './errors.ts';
import type { Farewell, StreamRole } from './event-relay.ts';

/** The event stream that answers one request: notifications about it, then its result under the client's id. */
export class CallRole implements StreamRole {
  readonly watched: readonly McpSubject[] = [];
  /** On the legacy era leaving means nothing. */
  readonly outlivesClient = true;
  readonly #call: Call;
  readonly #rewriter: AnswerRewriter;
  readonly #inFlight: InFlight;
  #answered = false;
  /** The upstream gave event ids: on the legacy era a client can come back for what it missed. */
  #resumable = false;

  /** @param inFlight what the session knows the request as. */
  constructor(call: Call, rewriter: AnswerRewriter, inFlight: InFlight) {
    this.#call = call;
    this.#rewriter = rewriter;
    this.#inFlight = inFlight;
  }

  get isAnswered(): boolean {
    return this.#answered;
  }

  forward(event: SseEvent, standing: Standing): Buffer | string | undefined {
    if (event.id !== undefined) this.#resumable = true;
    const answer = this.#answered ? undefined : this.#rewriter.rewriteEvent(event, standing);
    if (answer) this.#answered = true;
    if (answer) return answer.bytes;
    if (this.#isStray(event)) {
      this.#call.services.requestMetrics.strayAnswers.add();
      return undefined;
    }
    const { member } = this.#rewriter;
    return member ? member.event(event, standing) : event.raw;
  }

  /** An answer to another request, or to this one again: nobody on this stream waits for it. */
  #isStray({ data, dataBytes }: SseEvent): boolean {
    if (data === undefined || dataBytes === undefined || dataBytes.length === 0 || data.includes('"method"'))
      return false;
    const scanned = scanBody(dataBytes, this.#call.services.limits.responseScan);
    return scanned.kind === 'message' && (scanned.message.hasResult || scanned.message.hasError);
  }

  farewell({ refusal, message, revision }: Farewell): string {
    const data = { reason: refusal.name, revision };
    return encodeEvent({ data: errorMessage(this.#rewriter.clientId, refusal, { message, data }) });
  }

  toolsChanged(): undefined {
    return undefined;
  }

  drain(): undefined {
    return undefined;
  }

  /**
   * An upstream may end a stream before the answer and let the client come back for it, but only on the legacy era, and
   * only if it gave event ids. Anything else is a failure that the client must hear of.
   */
  upstreamEnded(failure: Refusal | undefined): { words: string | undefined; error: string } {
    if (this.#answered) return { words: undefined, error: '' };
    if (this.#resumable && this.#call.era === 'legacy') return { words: undefined, error: failure?.name ?? '' };
    const refusal = failure ?? refusals.upstreamFailed;
    return { words: encodeEvent({ data: errorMessage(this.#rewriter.clientId, refusal) }), error: refusal.name };
  }

  abandoned(): void {
    this.#call.session?.end(this.#inFlight);
    if (!this.#answered) cancelUpstream(this.#call, this.#rewriter.upstreamId);
  }
}
