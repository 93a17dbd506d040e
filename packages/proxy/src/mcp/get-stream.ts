import type { McpSubject } from '@signalbox/config';
import { AnswerHandles } from '../handles/answer-handles.ts';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import { findAnswerId } from './answer-id.ts';
import { onlyDataLine } from './answer-rewriter.ts';
import { decideFor, type Standing } from './authorization.ts';
import type { Call } from './call.ts';
import { endings, errorMessage, type Refusal, refusals } from './errors.ts';
import { EventRelay, eventHeaders, type Farewell, type StreamRole } from './event-relay.ts';
import { mintedMarker, readMintedId } from './request-id.ts';
import { spliceText } from './splice.ts';
import { refusalOf } from './upstream-failure.ts';

/**
 * The GET stream of a legacy session: what the server says unasked, and after `Last-Event-ID` what a broken stream
 * missed. An upstream that offers none (405) gets a stream that carries only what the gateway itself has to say.
 */
export class GetStream implements UpstreamHandler {
  /** Set as soon as the request is on its way. */
  upstream: UpstreamExchange | undefined;
  readonly #call: Call;
  readonly #relay: EventRelay;
  readonly #missed: readonly string[];
  #open = false;

  /** @param missed events that it begins with. */
  constructor(call: Call, standing: Standing, missed: readonly string[]) {
    this.#call = call;
    const about = { kind: 'get', clientId: 'null', subject: undefined } as const;
    this.#missed = missed;
    this.#relay = new EventRelay(call, standing, new GetRole(call), about);
  }

  /** Opens a stream that has no upstream behind it. */
  openAlone(): void {
    this.#open = this.#relay.open(eventHeaders, undefined);
    this.#attach();
  }

  onHead(head: UpstreamHead): void {
    const call = this.#call;
    if (call.ended) return;
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (head.status === 200 && isStream) {
      this.#open = this.#relay.open(eventHeaders, this.upstream);
      this.#attach();
    } else if (head.status === 405) {
      this.upstream?.abort();
      this.openAlone();
    } else {
      this.upstream?.abort();
      this.#refuse(head.status);
    }
  }

  onData(chunk: Buffer): void {
    if (this.#open) this.#relay.push(chunk);
  }

  onEnd(): void {
    if (this.#open) this.#relay.upstreamEnded(undefined);
    else this.#call.refuse(refusals.upstreamInvalid);
  }

  onError(error: UpstreamError): void {
    if (this.#open) this.#relay.upstreamEnded(refusalOf(error));
    else this.#call.refuse(refusalOf(error));
  }

  clientGone(): void {
    this.upstream?.abort();
    if (this.#open) this.#relay.clientGone(endings.clientGone);
    else this.#call.end(endings.clientGone);
  }

  /** The stream ends with its session. */
  #attach(): void {
    if (!this.#open) return;
    for (const event of this.#missed) this.#relay.send(event);
    const { session } = this.#call;
    const end = () => this.#relay.finish(undefined, endings.terminated);
    session?.onEnded(end);
    session?.opened(this.#call);
    this.#call.onEnded = () => {
      session?.closed(this.#call);
      session?.forget(end);
    };
  }

  #refuse(status: number): void {
    const { session, services, exchange } = this.#call;
    if (status === 404 && session) {
      services.sessions.end(exchange.head.header('mcp-session-id') ?? '', session);
      this.#call.refuse(refusals.sessionUnknown);
    } else if (status === 400 || status === 409) {
      this.#call.refuse({ ...refusals.upstreamFailed, status }, { message: 'The upstream server refused the stream' });
    } else {
      this.#call.refuse(refusals.upstreamFailed, { data: { status } });
    }
  }
}

/** What is special about a GET stream: what the gateway itself says on it, and answers that are given back late. */
export class GetRole implements StreamRole {
  readonly watched: readonly McpSubject[] = [];
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  forward(event: SseEvent, standing: Standing): Buffer | string | undefined {
    const { raw, data } = event;
    if (data === undefined) return raw;
    if (data.includes(updatedMethod) && this.#hidesUpdate(data, standing)) return undefined;
    if (data.includes(mintedMarker)) return this.#giveBack(event, data, standing);
    // Tasks go by the names that the client has of them.
    return data.includes('"taskId') ? new AnswerHandles(this.#call, standing.route).event(event) : raw;
  }

  farewell({ message, refusal, revision }: Farewell): string {
    const data = JSON.stringify({ message, reason: refusal.name, revision });
    const params = `{"level":"warning","logger":"signalbox","data":${data}}`;
    return encodeEvent({ data: `{"jsonrpc":"2.0","method":"notifications/message","params":${params}}` });
  }

  /** Each message goes to one of a session's streams. */
  toolsChanged(): string | undefined {
    if (this.#call.session?.speaksOn(this.#call) !== true) return undefined;
    return encodeEvent({ data: '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}' });
  }

  /** Clients come back at different times, perhaps to another node. */
  drain(): string {
    return drainWords(this.#call);
  }

  upstreamEnded(failure: Refusal | undefined): { words: undefined; error: string } {
    return { words: undefined, error: failure?.name ?? '' };
  }

  abandoned(): void {
    // Nothing waits upstream for a GET stream.
  }

  /**
   * A replayed answer, back under the id that its client gave the request, whichever node minted the one it bears. What
   * policy has withdrawn since is answered as unknown.
   */
  #giveBack({ raw }: SseEvent, data: string, standing: Standing): Buffer | string {
    const id = (parse(data) as { id?: unknown } | undefined)?.id;
    const line = onlyDataLine(raw);
    const token = JSON.stringify(id ?? null);
    const minted = readMintedId(token);
    const at = line && findAnswerId(raw.subarray(line.start, line.end), token, this.#call.services.limits.responseScan);
    if (!minted || !line || !at) return raw;
    if (minted.subject && !decideFor(this.#call, standing, minted.subject).allowed) {
      return encodeEvent({ data: errorMessage(minted.clientId, refusals.permissionWithdrawn) });
    }
    return spliceText(raw, { start: line.start + at.start, end: line.start + at.end }, minted.clientId);
  }

  /** Whether the event tells of a resource that its session may not read (any more). */
  #hidesUpdate(data: string, standing: Standing): boolean {
    const message = parse(data) as { method?: unknown; params?: { uri?: unknown } } | undefined;
    if (message?.method !== updatedMethod) return false;
    const uri = message.params?.uri;
    return typeof uri !== 'string' || !decideFor(this.#call, standing, { kind: 'resource', uri }).allowed;
  }
}

/** Last words to a client that is to come back. */
export function drainWords({ services: { random, limits } }: Call): string {
  return encodeEvent({ retryMs: 100 + Math.floor(random.fraction() * limits.drainRetryMs) });
}

const updatedMethod = 'notifications/resources/updated';

function parse(data: string): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch {
    return undefined;
  }
}
