import type { NodesLimits } from '../limits.ts';
import {
  type Endings,
  type EventLog,
  type EventLogWriter,
  type Mail,
  type Records,
  type SharedState,
  SharedStateError,
  type StreamKey,
} from '../shared-state.ts';
import type { AnswerValue, StateAnswer, StateRequest } from './state-messages.ts';

/** The way to who holds what is shared. */
export interface StateChannel {
  /** Resolves when it was written, or cannot be any more. */
  send(request: StateRequest): Promise<void>;
  /** One listener. */
  onAnswer(listener: (answer: StateAnswer) => void): void;
}

interface Pending {
  resolve(value: AnswerValue | undefined): void;
  reject(error: Error): void;
}

/** What the workers of one machine share, asked of their supervisor. What waits to be written is bounded in bytes. */
export class WorkerState implements SharedState {
  readonly self: string;
  readonly mail: Mail;
  readonly endings: Endings;
  readonly records: Records;
  readonly events: EventLog;
  readonly #channel: StateChannel;
  readonly #limits: NodesLimits;
  readonly #pending = new Map<number, Pending>();
  readonly #watches = new Map<number, () => void>();
  #numbers = 0;
  #unwritten = 0;
  #onLetter: (letter: string) => void = () => undefined;
  #onEnding: (name: string) => void = () => undefined;

  constructor(channel: StateChannel, self: string, limits: NodesLimits) {
    this.#channel = channel;
    this.#limits = limits;
    this.self = self;
    this.mail = {
      send: (node, letter) => this.#ask<boolean>((ask) => ({ op: 'send', ask, node, letter })),
      broadcast: (letter) => Promise.resolve(this.#tell({ op: 'broadcast', letter })),
      isPresent: (node) => this.#ask<boolean>((ask) => ({ op: 'isPresent', ask, node })),
      onLetter: (listener) => void (this.#onLetter = listener),
    };
    this.endings = {
      announce: (name, untilMs) => this.#tell({ op: 'announce', name, untilMs }),
      onEnding: (listener) => void (this.#onEnding = listener),
    };
    this.records = {
      put: (key, text, lifeMs) => this.#ask((ask) => ({ op: 'put', ask, key, text, lifeMs })).then(() => undefined),
      get: (key) => this.#ask<string | undefined>((ask) => ({ op: 'get', ask, key })),
      delete: (key) => Promise.resolve(this.#tell({ op: 'delete', key })),
    };
    this.events = {
      begin: (key, about) => this.#begin(key, about),
      read: (key, after) => this.#ask((ask) => ({ op: 'read', ask, key, after })),
      watch: (key, onMore) => this.#watch(key, onMore),
    };
  }

  start(): void {
    this.#channel.onAnswer((answer) => this.#take(answer));
    this.#tell({ op: 'join', self: this.self });
  }

  stop(): Promise<void> {
    this.#tell({ op: 'leave' });
    const error = new SharedStateError('the node stops');
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    return Promise.resolve();
  }

  #take(answer: StateAnswer): void {
    switch (answer.op) {
      case 'answer':
        return this.#settle(answer.ask)?.resolve(answer.value ?? undefined);
      case 'failed':
        return this.#settle(answer.ask)?.reject(new SharedStateError(answer.reason));
      case 'letter':
        return this.#onLetter(answer.letter);
      case 'ending':
        return this.#onEnding(answer.name);
      case 'more':
        return this.#watches.get(answer.watch)?.();
    }
  }

  #settle(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    return pending;
  }

  #ask<T extends AnswerValue | undefined>(request: (ask: number) => StateRequest): Promise<T> {
    const number = (this.#numbers += 1);
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(number, { resolve: (value) => resolve(value as T), reject });
      if (this.#write(request(number))) return;
      this.#pending.delete(number);
      reject(new SharedStateError('too much waits to be written to the supervisor'));
    });
  }

  #tell(request: StateRequest): void {
    this.#write(request);
  }

  /** @returns false when it was left out: too much waits already. */
  #write(request: StateRequest): boolean {
    const bytes = sizeOf(request);
    if (this.#unwritten + bytes > this.#limits.memoryBytes) return false;
    this.#unwritten += bytes;
    void this.#channel.send(request).then(() => void (this.#unwritten -= bytes));
    return true;
  }

  #begin(key: StreamKey, about: string): EventLogWriter {
    const writer = (this.#numbers += 1);
    let next = 1;
    let missed = 0;
    this.#tell({ op: 'begin', writer, key, about });
    return {
      get next() {
        return next;
      },
      append: (event) => {
        next += 1;
        missed = this.#write({ op: 'append', writer, event, missed }) ? 0 : missed + 1;
      },
      touch: () => this.#tell({ op: 'touch', writer }),
      close: () => this.#tell({ op: 'close', writer }),
    };
  }

  #watch(key: StreamKey, onMore: () => void): Disposable {
    const watch = (this.#numbers += 1);
    this.#watches.set(watch, onMore);
    this.#tell({ op: 'watch', watch, key });
    return {
      [Symbol.dispose]: () => {
        this.#watches.delete(watch);
        this.#tell({ op: 'unwatch', watch });
      },
    };
  }
}

/** Roughly, in bytes: what callers give, and a little for the rest. */
function sizeOf(request: StateRequest): number {
  if ('letter' in request) return 64 + request.letter.length;
  if ('event' in request) return 64 + request.event.length;
  return 64 + ('text' in request ? request.text.length : 0);
}
