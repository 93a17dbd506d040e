import type { RoutingTable, McpSubject } from '@signalbox/config';
import { notRostered } from '@signalbox/runtime';
import { type SseEvent, type SseHandler, SseParser, sseHeartbeat } from '../http/sse.ts';
import type { LiveStream } from '../resume/resumption.ts';
import type { StreamAbout, StreamLog } from '../resume/stream-log.ts';
import type { OpenStream } from '../table/open-streams.ts';
import { revisionIn } from '../table/revision.ts';
import type { UpstreamExchange } from '../upstream/upstream.ts';
import type { Standing } from './authorization.ts';
import type { Call } from './call.ts';
import { endings, type Refusal, refusals } from './errors.ts';
import { ticksToKeepAlive, type WatchedStream } from './keep-alive.ts';
import { PacedWriter } from './paced-writer.ts';
import { recheck } from './recheck.ts';

/** Why the gateway itself ends a stream. */
export interface Farewell {
  readonly refusal: Refusal;
  /** Names reason and revision, for people. */
  readonly message: string;
  /** Revision of the tenant that ended it. */
  readonly revision: number;
}

/** What differs between the answer of a call, a GET stream and a `subscriptions/listen`. Texts are whole SSE events. */
export interface StreamRole {
  /** Bytes to send for an event of the upstream; undefined keeps it back. */
  forward(event: SseEvent, standing: Standing): Buffer | string | undefined;
  /** Last words when the gateway ends the stream. */
  farewell(farewell: Farewell): string;
  /** What tells the client that its tools changed; undefined where that does not belong. */
  toolsChanged(): string | undefined;
  /** Last words when the node stops; undefined lets the stream run on. */
  drain(): string | undefined;
  /** Last words when the upstream ended or broke the stream, and how the call ended. */
  upstreamEnded(failure: Refusal | undefined): { readonly words: string | undefined; readonly error: string };
  /** What the stream is about beside its request: it ends when policy forbids one of them. */
  readonly watched: readonly McpSubject[];
  /** Runs when the stream goes on under another table. */
  stands?(standing: Standing): void;
  /** Runs when the gateway ends the stream before the upstream does. */
  abandoned(): void;
  /** The last event that was given on ends the stream. */
  readonly isAnswered?: boolean;
  /** It goes on without its client, who may come back for it. */
  readonly outlivesClient?: boolean;
  /** Runs when it does. */
  goesOn?(): void;
}

/** Headers of every event stream. */
export const eventHeaders: readonly string[] = [
  ...['Content-Type', 'text/event-stream', 'Cache-Control', 'no-cache, no-transform', 'X-Accel-Buffering', 'no'],
];

/**
 * An open event stream to a client: passes on whole events of the upstream, keeps quiet ones alive, slows the upstream
 * down to the client's pace, and looks after every swap whether it may go on.
 *
 * Only whole events are written, so everything that the gateway adds stands between events.
 */
export class EventRelay implements OpenStream, WatchedStream, SseHandler, LiveStream {
  place = notRostered;
  readonly #call: Call;
  readonly #role: StreamRole;
  readonly #parser: SseParser;
  readonly #log: StreamLog | undefined;
  #standing: Standing;
  #writer: PacedWriter | undefined;
  #upstream: UpstreamExchange | undefined;
  #registration: Disposable | undefined;
  #closed = false;
  /** Ticks since something was written. */
  #quietTicks = 0;

  /** @param about what a client that comes back to another node goes on with; undefined: it cannot. */
  constructor(call: Call, standing: Standing, role: StreamRole, about?: Omit<StreamAbout, 'node'>) {
    this.#call = call;
    this.#standing = standing;
    this.#role = role;
    this.#log = about && call.services.resumption.logOf(call, this, about);
    this.#parser = new SseParser(call.services.limits.eventBytes, this);
  }

  /** Begins the stream; when the node has too many, the call is refused instead. @returns whether it began. */
  open(headers: readonly string[], upstream: UpstreamExchange | undefined): boolean {
    const { streams, keepAlive } = this.#call.services;
    const admitted = this.#call.admission?.table;
    this.#registration = admitted && streams.add(this, admitted);
    if (!this.#registration) {
      this.#closed = true;
      upstream?.abort();
      this.#call.refuse(refusals.tooManyStreams);
      return false;
    }
    this.#upstream = upstream;
    upstream?.detach();
    this.#writer = new PacedWriter(this.#call.stream(200, headers), upstream);
    keepAlive.add(this);
    return true;
  }

  /** Bytes of the upstream's stream, cut anywhere. */
  push(chunk: Buffer): void {
    if (!this.#closed) this.#parser.push(chunk);
  }

  /** The upstream's stream is over. @param failure why, if it did not end by itself. */
  upstreamEnded(failure: Refusal | undefined): void {
    if (this.#closed) return;
    this.#parser.end();
    const { words, error } = this.#role.upstreamEnded(failure);
    this.#upstream = undefined;
    this.#close(words, error);
  }

  /** Whole events that come from elsewhere than the upstream. */
  send(events: Buffer | string): void {
    if (!this.#closed) this.#write(events);
  }

  /** The client has left; what is to become of the upstream's side is the caller's business. */
  clientGone(error: string): void {
    if (this.#closed) return;
    if (this.#log?.isKept === true && this.#role.outlivesClient === true) return this.#goOnAlone(error);
    this.#closed = true;
    this.#log?.close();
    this.#release();
    this.#call.end(error);
  }

  /** The client has come back elsewhere: nothing more is for whoever is at the end of this connection. */
  takenOver(): void {
    if (this.#closed) return;
    if (this.#role.outlivesClient !== true) return this.finish(undefined, endings.clientGone);
    this.#writer?.end();
    this.#upstream?.resume();
    this.#goOnAlone(endings.clientGone);
  }

  /** Ends the stream in order, from the gateway's side. */
  finish(words: string | undefined, error: string): void {
    if (this.#closed) return;
    this.#upstream?.abort();
    this.#role.abandoned();
    this.#close(words, error);
  }

  onEvent(event: SseEvent): void {
    if (this.#closed) return;
    const bytes = this.#role.forward(event, this.#standing);
    if (bytes === undefined) return;
    this.#write(this.#log?.number(bytes, event, this.#role.isAnswered === true) ?? bytes);
  }

  onTooLarge(): void {
    if (this.#closed) return;
    this.#upstream?.abort();
    this.upstreamEnded(refusals.upstreamTooLarge);
  }

  onSwap(_previous: RoutingTable, next: RoutingTable): void {
    if (this.#closed) return;
    const checked = recheck(this.#call, this.#standing, next, this.#role.watched);
    if (checked.kind === 'unchanged') return;
    if (checked.kind === 'ended') return this.#withdraw(checked.refusal, checked.revision);
    this.#standing = checked.standing;
    this.#role.stands?.(checked.standing);
    const words = checked.viewChanged ? this.#role.toolsChanged() : undefined;
    if (words !== undefined) this.#write(this.#log?.numberOwn(words) ?? words);
  }

  onDrain(): void {
    if (this.#closed) return;
    const words = this.#role.drain();
    if (words !== undefined) this.finish(words, endings.drained);
  }

  /** Ends the stream of an expired credential; keeps a quiet one alive, unless its client is only slow. */
  onTick(): void {
    if (this.#closed) return;
    const { route, credential } = this.#standing;
    const { services, session } = this.#call;
    if (credential.expiresAt <= services.clock.now()) {
      return this.#withdraw(refusals.credentialExpired, revisionIn(services.tables.value, route.entry.tenant));
    }
    if (session && this.#writer) services.sessions.inUse(session);
    this.#quietTicks += 1;
    this.#log?.tick();
    const first = this.#writer && this.#log?.prime();
    if (first !== undefined) this.#writer?.write(first);
    if (this.#quietTicks >= ticksToKeepAlive && this.#writer?.bufferedBytes === 0) this.#write(sseHeartbeat);
  }

  #withdraw(refusal: Refusal, revision: number): void {
    const message = `${refusal.message} (revision ${revision})`;
    this.finish(this.#role.farewell({ refusal, message, revision }), refusal.name);
  }

  #write(bytes: Buffer | string): void {
    const writer = this.#writer;
    if (!writer) return;
    this.#quietTicks = 0;
    writer.write(bytes);
    // One event may exceed the bound by itself; what piles up behind it may not.
    if (writer.bufferedBytes > this.#call.services.limits.streamBufferBytes + bytes.length) this.#cutOff(writer);
  }

  #cutOff(writer: PacedWriter): void {
    this.#closed = true;
    this.#upstream?.abort();
    this.#role.abandoned();
    this.#log?.close();
    this.#release();
    writer.abort();
    this.#call.end(endings.slowClient);
  }

  #close(words: string | undefined, error: string): void {
    this.#closed = true;
    const last = words === undefined ? undefined : (this.#log?.numberOwn(words) ?? words);
    this.#log?.close();
    this.#release();
    this.#writer?.end(last);
    this.#call.end(error);
  }

  /** What still comes is kept for a client that comes back; it stays subject to policy. */
  #goOnAlone(error: string): void {
    this.#writer = undefined;
    this.#role.goesOn?.();
    this.#call.end(error);
  }

  #release(): void {
    this.#registration?.[Symbol.dispose]();
    this.#call.services.keepAlive.remove(this);
  }
}
