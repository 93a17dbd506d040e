import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import type { Services } from '../mcp/services.ts';
import { breakerOpen, inQuarantine } from './member-health.ts';
import type { Access, MemberLeg, MemberRequest } from './member-leg.ts';

/**
 * Sends a request to a member and gives its answer to `handler`, as `Upstream.dispatch` would. A member that has lost the
 * session is given another one and the request is sent once more: it was refused, so it had no effect. What becomes of
 * it tells how the member does.
 */
export function sendToMember(
  services: Services,
  leg: MemberLeg,
  request: MemberRequest,
  handler: UpstreamHandler,
): UpstreamExchange {
  return new MemberExchange(services, leg, request, handler).begin();
}

/** Bytes of an answer that are read to see whether it says that the session is lost. */
const maxVerdictBytes = 8_192;

class MemberExchange implements UpstreamHandler, UpstreamExchange {
  readonly #services: Services;
  readonly #leg: MemberLeg;
  readonly #request: MemberRequest;
  readonly #handler: UpstreamHandler;
  #exchange: UpstreamExchange | undefined;
  #access: Access | undefined;
  #aborted = false;
  #retried = false;
  #head: UpstreamHead | undefined;
  /** What is done with the answer's body: given on, dropped because the session is lost, or read to see that. */
  #reading: 'given' | 'dropped' | 'held' = 'given';
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(services: Services, leg: MemberLeg, request: MemberRequest, handler: UpstreamHandler) {
    this.#services = services;
    this.#leg = leg;
    this.#request = request;
    this.#handler = handler;
  }

  get borrows(): boolean {
    return this.#handler.borrows === true;
  }

  begin(): this {
    const { state } = this.#leg;
    if (state.member.authorization.quarantine) queueMicrotask(() => this.#fail(inQuarantine));
    else if (this.#services.memberHealth.admits(state.backend)) this.#open();
    else queueMicrotask(() => this.#fail(breakerOpen));
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

  /** Messages are sent whole. */
  write(chunk: Buffer): boolean {
    return this.#exchange?.write(chunk) ?? true;
  }

  endBody(): void {
    this.#exchange?.endBody();
  }

  abort(): void {
    this.#aborted = true;
    this.#exchange?.abort();
  }

  onHead(head: UpstreamHead): void {
    this.#services.memberHealth.answered(this.#leg.state.backend, head.status);
    const verdict = this.#retried ? 'fine' : this.#leg.verdict(head, this.#access as Access);
    if (verdict === 'fine') return this.#handler.onHead(head);
    this.#head = head;
    this.#reading = verdict === 'lost' ? 'dropped' : 'held';
  }

  onData(chunk: Buffer, lent: boolean): boolean | void {
    if (this.#reading === 'given') return this.#handler.onData(chunk, lent);
    if (this.#reading === 'dropped') return false;
    this.#held.push(lent ? Buffer.from(chunk) : chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > maxVerdictBytes) this.#giveHeld();
    return false;
  }

  onEnd(): void {
    if (this.#reading === 'held') {
      if (!/\bsession\b/i.test(Buffer.concat(this.#held).toString('utf8'))) this.#giveHeld();
      else this.#reading = 'dropped';
    }
    if (this.#reading === 'given') this.#handler.onEnd();
    else this.#again();
  }

  onError(error: UpstreamError): void {
    this.#services.memberHealth.failed(this.#leg.state.backend);
    if (this.#reading === 'dropped') this.#again();
    else this.#handler.onError(error);
  }

  #open(): void {
    const access = this.#leg.access();
    if (!(access instanceof Promise)) return this.#dispatch(access);
    access.then(
      (opened) => {
        if (this.#aborted) return;
        if ('code' in opened) this.#fail(opened);
        else this.#dispatch(opened);
      },
      (error: unknown) => this.#fail({ code: 'protocol', message: String(error), notAccepted: true }),
    );
  }

  #dispatch(access: Access): void {
    const { state } = this.#leg;
    const { verb, body, repeatable, streams, isCall } = this.#request;
    const { upstream } = this.#services;
    const { message, call, stream, responseBytes } = state.bounds;
    this.#access = access;
    this.#exchange = upstream.dispatch(
      {
        ...{ origin: state.origin, poolKey: state.backend.key, peer: state.backend, target: state.target },
        ...{ method: verb, body },
        headers: access.headersFor(this.#request),
        safeToResend: repeatable,
        legacyFor: access.legacyFor,
        maxBodyBytes: isCall === true ? responseBytes : undefined,
        timeouts: streams === true ? stream : isCall === true ? call : message,
      },
      this,
    );
  }

  #again(): void {
    this.#retried = true;
    this.#reading = 'given';
    this.#held = [];
    this.#leg.lost(this.#access as Access);
    if (!this.#aborted) this.#open();
  }

  #giveHeld(): void {
    const held = Buffer.concat(this.#held);
    this.#held = [];
    this.#reading = 'given';
    this.#handler.onHead(this.#head as UpstreamHead);
    if (held.length > 0) this.#handler.onData(held, false);
  }

  #fail(error: UpstreamError): void {
    if (!this.#aborted) this.#handler.onError(error);
  }
}
