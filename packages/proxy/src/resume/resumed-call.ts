import type { McpSubject } from '@signalbox/config';
import { encodeEvent } from '../http/sse.ts';
import { decideFor, type Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { endings, errorMessage, type Refusal, refusals } from '../mcp/errors.ts';
import { EventRelay, eventHeaders, type Farewell, type StreamRole } from '../mcp/event-relay.ts';
import { drainWords } from '../mcp/get-stream.ts';
import type { LoggedEvents, StreamKey } from '../nodes/shared-state.ts';
import type { StreamAbout } from './stream-log.ts';

/** From where a client goes on with the answer of a call. */
export interface CallToResume {
  readonly key: StreamKey;
  readonly about: StreamAbout;
  /** Position of the last event that the client has seen. */
  readonly after: number;
}

/**
 * The rest of the answer of a call whose stream broke, read from the log that the node of the call writes: what was
 * missed, and what still comes, each once and in order. It ends when that node says that nothing follows, or is gone.
 */
export class ResumedCall implements StreamRole {
  readonly watched: readonly McpSubject[];
  readonly #call: Call;
  readonly #standing: Standing;
  readonly #of: CallToResume;
  readonly #relay: EventRelay;
  /** Position of the last event that was sent. */
  #last: number;
  #reading = false;
  #readAgain = false;
  #over = false;
  readonly #held: Disposable[] = [];

  constructor(call: Call, standing: Standing, of: CallToResume) {
    this.#call = call;
    this.#standing = standing;
    this.#of = of;
    this.#last = of.after;
    this.watched = of.about.subject ? [of.about.subject] : [];
    this.#relay = new EventRelay(call, standing, this);
  }

  /** @param first what was found behind the last event that the client has seen. */
  open(first: LoggedEvents): void {
    const call = this.#call;
    const { state, clock, limits } = call.services;
    const { key } = this.#of;
    if (!this.#relay.open(eventHeaders, undefined)) return;
    call.exchange.onClientGone(() => this.#relay.clientGone(endings.clientGone));
    const end = () => this.#relay.finish(undefined, endings.terminated);
    call.session?.onEnded(end);
    call.onEnded = () => {
      call.session?.forget(end);
      this.#stop();
    };
    const { subject } = this.#of.about;
    if (subject && !decideFor(call, this.#standing, subject).allowed) return this.#fail(refusals.permissionWithdrawn);
    this.#held.push(state.events.watch(key, () => void this.#more()));
    this.#held.push(clock.interval(limits.nodes.leaseMs, () => void this.#lookForNode()));
    this.#take(first);
    void this.#more();
  }

  /** Nothing comes by way of the relay itself. */
  forward(): undefined {
    return undefined;
  }

  farewell({ refusal, message, revision }: Farewell): string {
    const data = { reason: refusal.name, revision };
    return encodeEvent({ data: errorMessage(this.#of.about.clientId, refusal, { message, data }) });
  }

  toolsChanged(): undefined {
    return undefined;
  }

  drain(): string {
    return drainWords(this.#call);
  }

  upstreamEnded(): { words: undefined; error: string } {
    return { words: undefined, error: '' };
  }

  abandoned(): void {
    this.#stop();
  }

  #take({ events, isClosed }: LoggedEvents): void {
    for (const { position, text } of events) {
      if (this.#over) return;
      if (position <= this.#last) continue;
      if (position !== this.#last + 1) return this.#fail(refusals.eventsGone);
      this.#last = position;
      this.#relay.send(text);
    }
    if (isClosed) this.#relay.finish(undefined, '');
  }

  /** One reading at a time; who rings meanwhile is heard afterwards. @returns whether it could be read. */
  async #more(): Promise<boolean> {
    this.#readAgain = true;
    if (this.#reading) return false;
    this.#reading = true;
    try {
      while (this.#readAgain && !this.#over) {
        this.#readAgain = false;
        const read = await this.#call.services.state.events.read(this.#of.key, this.#last);
        if (read && !this.#over) this.#take(read);
      }
      return true;
    } catch {
      // The shared state is away; the doorbell, or the next look, reads on.
      return false;
    } finally {
      this.#reading = false;
    }
  }

  /** A node that is gone does not say that nothing follows. */
  async #lookForNode(): Promise<void> {
    const running = await this.#call.services.resumption.takeOver(this.#of.about.node, this.#of.key);
    if (running === 'runs' || running === 'unknown' || this.#over) return;
    if ((await this.#more()) && !this.#over) {
      this.#fail(running === 'gone' ? refusals.nodeGone : refusals.eventsGone);
    }
  }

  #fail(refusal: Refusal): void {
    this.#relay.finish(encodeEvent({ data: errorMessage(this.#of.about.clientId, refusal) }), refusal.name);
  }

  #stop(): void {
    this.#over = true;
    for (const each of this.#held.splice(0)) each[Symbol.dispose]();
  }
}
