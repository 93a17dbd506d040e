import type { McpSubject } from '@signalbox/config';
import type { Exchange } from '../http/exchange.ts';
import { encodeEvent } from '../http/sse.ts';
import type { Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { endings, type Refusal } from '../mcp/errors.ts';
import { EventRelay, eventHeaders, type Farewell, type StreamRole } from '../mcp/event-relay.ts';
import { GetRole } from '../mcp/get-stream.ts';
import { UnaskedExchange } from './unasked-exchange.ts';

/**
 * A client of 2024-11-05: its GET stream, on which everything goes that it is answered and told. Behind it is a session as
 * any other client's, which begins with its `initialize` and ends with its stream.
 */
export class SseClient implements StreamRole {
  readonly watched: readonly McpSubject[] = [];
  /** Whose stream it is. */
  readonly owner: string;
  closed = false;
  readonly #call: Call;
  readonly #serve: (exchange: Exchange) => void;
  readonly #relay: EventRelay;
  readonly #own: GetRole;
  readonly #onClosed: () => void;
  /** What is under way for it. */
  readonly #exchanges = new Set<{ clientGone(): void }>();
  #session: string | undefined;
  #listens = false;

  /** @param serve carries what is not the client's own through the phases. */
  constructor(call: Call, standing: Standing, serve: (exchange: Exchange) => void, onClosed: () => void) {
    this.owner = standing.credential.principal.id;
    this.#call = call;
    this.#serve = serve;
    this.#onClosed = onClosed;
    this.#own = new GetRole(call);
    this.#relay = new EventRelay(call, standing, this);
  }

  /** @param endpoint where the client posts, path and query. @returns false when the node has too many streams. */
  open(endpoint: string): boolean {
    if (!this.#relay.open(eventHeaders, undefined)) return false;
    this.#call.exchange.onClientGone(() => this.#relay.clientGone(endings.clientGone));
    this.#call.onEnded = () => this.#close();
    this.#relay.send(`event: endpoint\ndata: ${endpoint}\n\n`);
    return true;
  }

  /** The gateway's id of its session; undefined before `initialize`. */
  get session(): string | undefined {
    return this.#session;
  }

  begun(session: string): void {
    this.#session = session;
  }

  /** Something of the client is on its way: from its first message in the session on, it hears what it has not asked for. */
  accepted(exchange: { clientGone(): void }): void {
    this.#exchanges.add(exchange);
    if (this.#session === undefined || this.#listens) return;
    this.#listens = true;
    const { head } = this.#call.exchange;
    const listening = new UnaskedExchange('GET', head, this.#session, (event) => this.send(event));
    this.#exchanges.add(listening);
    this.#serve(listening);
  }

  settled(exchange: { clientGone(): void }): void {
    this.#exchanges.delete(exchange);
  }

  /** Whole events. */
  send(events: Buffer | string): void {
    this.#relay.send(events);
  }

  /** A message as an event. */
  say(message: Buffer | string): void {
    this.send(encodeEvent({ data: message.toString() }));
  }

  /** What it was to be told is lost: it has to begin again. */
  breakOff(): void {
    this.#relay.finish(undefined, endings.terminated);
  }

  /** Nothing comes by way of an upstream. */
  forward(): undefined {
    return undefined;
  }

  farewell(farewell: Farewell): string {
    return this.#own.farewell(farewell);
  }

  /** The session's own stream says so. */
  toolsChanged(): undefined {
    return undefined;
  }

  drain(): string {
    return this.#own.drain();
  }

  upstreamEnded(failure: Refusal | undefined): { words: undefined; error: string } {
    return { words: undefined, error: failure?.name ?? '' };
  }

  abandoned(): void {
    // What it has begun ends with its session.
  }

  #close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onClosed();
    for (const exchange of this.#exchanges) exchange.clientGone();
    this.#exchanges.clear();
    const { head } = this.#call.exchange;
    if (this.#session !== undefined) this.#serve(new UnaskedExchange('DELETE', head, this.#session, () => undefined));
  }
}
