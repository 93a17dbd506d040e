/**
 * What the nodes of a gateway share, beside the keys that open each other's ids. Implementations: in memory, for one
 * node; the supervisor's memory, for the workers of one machine; and Redis, for several (docs/rfd/0025).
 *
 * Nothing of it stands in the way of a call that needs none of it: what nodes must know of at any time is told to them.
 */
export interface SharedState {
  /** Name of this process among the others. It has another one after a restart: what it held is gone. */
  readonly self: string;
  readonly mail: Mail;
  readonly endings: Endings;
  readonly records: Records;
  readonly events: EventLog;
  /** Returns at once: what cannot be reached is tried again in the background. */
  start(): void;
  stop(): Promise<void>;
}

/** Letters between nodes. They arrive in order, at most once, and only while their receiver is there. */
export interface Mail {
  /**
   * @returns false when no such node is there (any more).
   * @throws SharedStateError when the shared state cannot be reached, or the node hears nothing at the moment.
   */
  send(node: string, letter: string): Promise<boolean>;
  /** To all other nodes. @throws SharedStateError when the shared state cannot be reached. */
  broadcast(letter: string): Promise<void>;
  /** Whether a node holds its lease. @throws SharedStateError when the shared state cannot be reached. */
  isPresent(node: string): Promise<boolean>;
  /** One listener; a later one takes the place of the first. */
  onLetter(listener: (letter: string) => void): void;
}

/** Names of sessions that are over: every node knows all of them, so asking costs nothing. */
export interface Endings {
  /** Tells every other node, at the latest when the shared state is there again. */
  announce(name: string, untilMs: number): void;
  /** Calls back for everything that was announced elsewhere, also before this node started. One listener. */
  onEnding(listener: (name: string) => void): void;
}

/** Whose something is. No two tenants' keys are ever equal. */
export interface RecordKey {
  readonly tenant: string;
  /** The gateway's name of the session. */
  readonly session: string;
}

/** Facts of sessions that do not fit into their ids. */
export interface Records {
  /** @throws SharedStateError when it cannot be kept. */
  put(key: RecordKey, text: string, lifeMs: number): Promise<void>;
  /** @returns undefined when there is none (any more). @throws SharedStateError when nobody can say. */
  get(key: RecordKey): Promise<string | undefined>;
  /** Never rejects: it would expire by itself. */
  delete(key: RecordKey): Promise<void>;
}

export interface StreamKey extends RecordKey {
  /** Random name of the stream in its session. */
  readonly stream: string;
}

/**
 * Events of streams, for clients that come back. Each stream is written by one node. Bounded by count and bytes (the
 * oldest events go), and by age.
 */
export interface EventLog {
  /** @param about what a reader needs to know of the stream. */
  begin(key: StreamKey, about: string): EventLogWriter;
  /**
   * What came behind a position; undefined when nothing is known of the stream (any more).
   * @throws SharedStateError when nobody can say.
   */
  read(key: StreamKey, after: number): Promise<LoggedEvents | undefined>;
  /** Calls back when there may be more to read. */
  watch(key: StreamKey, onMore: () => void): Disposable;
}

export interface EventLogWriter {
  /** Position of the next event, from 1. */
  readonly next: number;
  /** Never fails: what cannot be kept is missing, and readers see the gap. */
  append(event: string): void;
  /** The stream goes on: what is kept is kept on. */
  touch(): void;
  /** Nothing follows. */
  close(): void;
}

export interface LoggedEvents {
  readonly about: string;
  readonly events: readonly LoggedEvent[];
  /** Nothing follows the last of the events. */
  readonly isClosed: boolean;
}

export interface LoggedEvent {
  readonly position: number;
  readonly text: string;
}

/** The shared state cannot be reached, or did not answer in time. */
export class SharedStateError extends Error {
  override readonly name = 'SharedStateError';
}
