import type { Call } from '../mcp/call.ts';
import { type LoggedEvents, SharedStateError, type StreamKey } from '../nodes/shared-state.ts';
import { readAbout } from '../resume/resumption.ts';
import type { BegunLog } from '../resume/stream-log.ts';
import type { Session } from '../session/sessions.ts';

/** An event as it is kept: without an id, since whoever comes back gets it under a new one. */
interface KeptEvent {
  readonly event: string;
  /** Who said it, and its id there; absent for what bears none. */
  readonly member?: string;
  readonly id?: string;
}

/**
 * What is kept of the stream that all members share, for a client that comes back to whichever node: every event, as members
 * may number none of theirs. It begins with the first one.
 */
export class SharedLog {
  readonly #begin: () => BegunLog;
  #begun: BegunLog | undefined;

  constructor(begin: () => BegunLog) {
    this.#begin = begin;
  }

  /** Keeps an event. @returns the log's own id of it. */
  keep(kept: KeptEvent): string {
    this.#begun ??= this.#begin();
    const { prefix, writer } = this.#begun;
    const id = `${prefix}${writer.next}`;
    writer.append(JSON.stringify(kept));
    return id;
  }

  /** Keeps what its client is to be told when it comes back, if it can. */
  keepOn(event: string): void {
    if (this.#begun) this.keep({ event });
  }

  /** Now and then, however quiet the stream is: what is kept must not expire while it goes on. */
  touch(): void {
    this.#begun?.writer.touch();
  }

  /** Nothing follows. */
  close(): void {
    this.#begun?.writer.close();
    this.#begun?.end();
    this.#begun = undefined;
  }
}

/** What a client that comes back has missed. */
export interface Missed {
  readonly events: readonly KeptEvent[];
  /** By member: the last event of its own that was given to the client, or is given to it now. */
  readonly seen: ReadonlyMap<string, string>;
}

/**
 * Takes the stream over from wherever it runs. @returns what was missed; `gone` when some of it is not kept any more, and
 * `unknown` when nothing is known of the stream here.
 * @param id the log's own id of the last event that the client has seen.
 */
export async function takeOverShared(call: Call, id: string): Promise<Missed | 'gone' | 'unknown'> {
  const { services } = call;
  const { tenant, name } = (call.session as Session).facts;
  const point = services.resumption.read(name, id);
  if (point === undefined || point === 'foreign') return 'gone';
  const key: StreamKey = { tenant, session: name, stream: point.stream };
  try {
    const found = await services.state.events.read(key, 0);
    if (!found) return 'unknown';
    if (!found.isClosed) await services.resumption.takeOver(readAbout(found.about).node, key);
    const all = await services.state.events.read(key, 0);
    return all ? missedIn(all, point.position) : 'unknown';
  } catch (error) {
    if (!(error instanceof SharedStateError)) throw error;
    return 'unknown';
  }
}

function missedIn({ events }: LoggedEvents, after: number): Missed | 'gone' {
  const behind = events.filter(({ position }) => position > after);
  if (behind.some(({ position }, at) => position !== after + 1 + at)) return 'gone';
  const seen = new Map<string, string>();
  for (const { text } of events) {
    const { member, id } = JSON.parse(text) as KeptEvent;
    if (member === undefined || id === undefined) continue;
    seen.delete(member);
    seen.set(member, id);
  }
  return { events: behind.map(({ text }) => JSON.parse(text) as KeptEvent), seen };
}
