/** One event of an SSE stream. */
export interface SseEvent {
  /** Everything from the first line of the event to its closing blank line, as it arrived: forward this unchanged. */
  readonly raw: Buffer;
  /** `data` lines joined by LF; undefined when there was none (comments, priming events without data). */
  readonly data: string | undefined;
  /** `event` field; empty when absent, which means `message`. */
  readonly event: string;
  /** `id` field of this event; undefined when absent. */
  readonly id: string | undefined;
  /** `retry` field in milliseconds; undefined when absent or not a number. */
  readonly retryMs: number | undefined;
}

/** Takes events; `onTooLarge` ends the parser: nothing more comes from it. */
export interface SseHandler {
  onEvent(event: SseEvent): void;
  /** An event exceeds the cap. */
  onTooLarge(): void;
}

/** Splits a byte stream into events (WHATWG HTML, "Server-sent events"). Pieces may be cut anywhere. */
export class SseParser {
  /** @param maxEventBytes bound on the raw bytes of one event. */
  constructor(_maxEventBytes: number, _handler: SseHandler) {}

  push(_chunk: Buffer): void {}

  /** The stream ended. An event without its blank line is dropped, as the standard says. */
  end(): void {}
}

/** Fields of an event to write. */
export interface SseFields {
  readonly id?: string;
  readonly retryMs?: number;
  /** Omitted from the event when undefined. */
  readonly data?: string;
}

/** An event as bytes to send. Line breaks in `data` become several `data` lines. */
export function encodeEvent(_fields: SseFields): string {
  return '';
}

/** A comment, to keep a quiet stream alive. */
export const sseHeartbeat = ':\n\n';
