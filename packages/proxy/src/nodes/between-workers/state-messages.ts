import type { LoggedEvents, RecordKey, StreamKey } from '../shared-state.ts';

/** What a worker asks its supervisor, who holds what the workers share. One with `ask` gets an answer. */
export type StateRequest =
  | { readonly op: 'join'; readonly self: string }
  | { readonly op: 'leave' }
  | { readonly op: 'send'; readonly ask: number; readonly node: string; readonly letter: string }
  | { readonly op: 'broadcast'; readonly letter: string }
  | { readonly op: 'isPresent'; readonly ask: number; readonly node: string }
  | { readonly op: 'announce'; readonly name: string; readonly untilMs: number }
  | {
      readonly op: 'put';
      readonly ask: number;
      readonly key: RecordKey;
      readonly text: string;
      readonly lifeMs: number;
    }
  | { readonly op: 'get'; readonly ask: number; readonly key: RecordKey }
  | { readonly op: 'delete'; readonly key: RecordKey }
  /** Events: `writer` is the worker's own number. */
  | { readonly op: 'begin'; readonly writer: number; readonly key: StreamKey; readonly about: string }
  /** `missed`: events before it that could not be sent. */
  | { readonly op: 'append'; readonly writer: number; readonly event: string; readonly missed: number }
  | { readonly op: 'touch'; readonly writer: number }
  | { readonly op: 'close'; readonly writer: number }
  | { readonly op: 'read'; readonly ask: number; readonly key: StreamKey; readonly after: number }
  | { readonly op: 'watch'; readonly watch: number; readonly key: StreamKey }
  | { readonly op: 'unwatch'; readonly watch: number };

export type StateAnswer =
  | { readonly op: 'answer'; readonly ask: number; readonly value: AnswerValue | null }
  | { readonly op: 'failed'; readonly ask: number; readonly reason: string }
  | { readonly op: 'letter'; readonly letter: string }
  | { readonly op: 'ending'; readonly name: string }
  | { readonly op: 'more'; readonly watch: number };

export type AnswerValue = boolean | string | LoggedEvents;
