import { wrapUri } from '@signalbox/config';
import type { SseEvent } from '../http/sse.ts';
import { handleEdits, handlesMayFollow, mayHoldHandles } from '../handles/answer-handles.ts';
import { scanBody } from '../json/scan.ts';
import type { PieceRewriter } from '../json/string-rewriter.ts';
import type { MemberRewrite } from '../mcp/answer-rewriter.ts';
import type { Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import type { Edit } from '../mcp/splice.ts';
import { isUnwantedLog } from '../mcp/wanted-logs.ts';
import { callEventId } from './event-ids.ts';
import { MemberEvents } from './member-events.ts';
import type { MemberLeg } from './member-leg.ts';
import { answerUriEdits, answerUriRewriter, mayHoldUris } from './result-uris.ts';

/** What is changed in a member's answer, beside its id: URIs are wrapped, ids of events name the member. */
export class MemberAnswer implements MemberRewrite {
  readonly #call: Call;
  readonly #leg: MemberLeg;
  #events: MemberEvents | undefined;

  constructor(call: Call, leg: MemberLeg) {
    this.#call = call;
    this.#leg = leg;
  }

  touches(bytes: Buffer): boolean {
    return this.#mayHoldUris(bytes) || mayHoldHandles(this.#call, bytes);
  }

  mayPass(first: Buffer): boolean {
    return !handlesMayFollow(this.#call, first);
  }

  pieces(): PieceRewriter | undefined {
    const { member } = this.#leg.state;
    return member.wrapsUris ? answerUriRewriter((uri) => wrapUri(member, uri)) : undefined;
  }

  edits(answer: Buffer): readonly Edit[] | undefined {
    if (!this.touches(answer)) return [];
    const scanned = scanBody(answer, this.#call.services.limits.responseScan);
    const { member } = this.#leg.state;
    if (scanned.kind !== 'message') return undefined;
    const uris = this.#mayHoldUris(answer)
      ? answerUriEdits(answer, scanned.message, (uri) => wrapUri(member, uri))
      : [];
    return [...uris, ...handleEdits(this.#call, this.#leg.state, scanned.message)];
  }

  #mayHoldUris(bytes: Buffer): boolean {
    return this.#leg.state.member.wrapsUris && mayHoldUris(bytes);
  }

  eventId(id: string): string {
    return callEventId(this.#leg.state.member.key, id);
  }

  event(event: SseEvent, standing: Standing): Buffer | string | undefined {
    if (isUnwantedLog(this.#call, event)) return undefined;
    this.#events ??= new MemberEvents(this.#call, this.#leg);
    return this.#events.present(event, standing, (id) => this.eventId(id));
  }
}
