import type { OutcomeEvent } from './event.ts';

/** Takes events off the request's path. */
export interface Recorder {
  /** Synchronous, never throws, bounded: when the sink cannot keep up, the event is counted as lost. */
  record(event: OutcomeEvent): void;
  /** Writes what is queued; returns at the signal at the latest. */
  close(deadline: AbortSignal): Promise<void>;
}

/** Where events go. */
export interface Sink {
  /** Resolves when the batch is stored. A rejection is retried with the same batch. */
  write(batch: readonly OutcomeEvent[]): Promise<void>;
  close(): Promise<void>;
}
