import { type SseEvent, type SseHandler, SseParser } from '../http/sse.ts';
import type { Services } from '../mcp/services.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import { sendToMember } from './member-exchange.ts';
import type { MemberLeg, MemberRequest, MemberState } from './member-leg.ts';

/** Who takes what a member says on its stream. */
export interface FeedReader {
  onEvent(event: SseEvent): void;
  /** The stream is open again after it was not: what was said meanwhile may be lost. */
  onReturned(): void;
}

/**
 * A member's own stream, kept open: when it ends it is opened again, at once longer waits. A member that offers none is
 * left in peace.
 */
export class MemberFeed implements UpstreamHandler, SseHandler {
  readonly #services: Services;
  readonly #leg: MemberLeg;
  readonly #request: (lastEventId: string) => MemberRequest;
  readonly #reader: FeedReader;
  #lastEventId: string;
  #exchange: UpstreamExchange | undefined;
  #parser: SseParser | undefined;
  #timer: Disposable | undefined;
  #waitMs: number;
  #retryMs = 0;
  #wasDown = false;
  #stopped = false;

  /**
   * @param request that opens the stream.
   * @param lastEventId where it goes on; empty for now.
   */
  constructor(
    services: Services,
    leg: MemberLeg,
    {
      request,
      lastEventId,
    }: { readonly request: (lastEventId: string) => MemberRequest; readonly lastEventId: string },
    reader: FeedReader,
  ) {
    this.#services = services;
    this.#leg = leg;
    this.#request = request;
    this.#lastEventId = lastEventId;
    this.#reader = reader;
    this.#waitMs = services.limits.federation.reopenMs;
  }

  open(): this {
    if (this.#stopped) return this;
    this.#parser = undefined;
    this.#exchange = sendToMember(this.#services, this.#leg, this.#request(this.#lastEventId), this);
    return this;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    this.#exchange?.abort();
  }

  onHead(head: UpstreamHead): void {
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (head.status === 200 && isStream) {
      this.#exchange?.detach();
      this.#parser = new SseParser(this.#services.limits.eventBytes, this);
      if (this.#wasDown) this.#reader.onReturned();
      this.#wasDown = false;
      return;
    }
    this.#exchange?.abort();
    if (head.status !== 405) this.#later();
    else if (this.#wasDown) this.#reader.onReturned();
  }

  onData(chunk: Buffer): void {
    this.#parser?.push(chunk);
  }

  onEnd(): void {
    this.#parser?.end();
    this.#later();
  }

  onError({ code }: UpstreamError): void {
    // It will not speak another era soon; a client that comes back asks again.
    if (code === 'other-era') return;
    this.#wasDown = true;
    this.#later();
  }

  onEvent(event: SseEvent): void {
    if (this.#stopped) return;
    // It speaks: the next wait is a short one again.
    this.#waitMs = this.#services.limits.federation.reopenMs;
    if (event.id !== undefined) this.#lastEventId = event.id;
    if (event.retryMs !== undefined) this.#retryMs = event.retryMs;
    this.#reader.onEvent(event);
  }

  onTooLarge(): void {
    this.#exchange?.abort();
    this.#later();
  }

  #later(): void {
    if (this.#stopped || this.#timer) return;
    const { clock, random, limits } = this.#services;
    const { reopenMs } = limits.federation;
    const wait = Math.min(Math.max(this.#waitMs, this.#retryMs), reopenMs * maxBackoff);
    this.#waitMs = Math.min(this.#waitMs * 2, reopenMs * maxBackoff);
    this.#timer = clock.timer(wait * (0.75 + random.fraction() / 2), () => {
      this.#timer = undefined;
      this.open();
    });
  }
}

/** What a member in quarantine says is for nobody. */
export function isHeard({ member }: MemberState): boolean {
  return member.authorization.quarantine === undefined;
}

/** How many times as long as the first wait the longest is. */
const maxBackoff = 30;
