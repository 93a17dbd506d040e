import type { Clock } from '@signalbox/runtime';
import type { NodesLimits } from '../limits.ts';
import { MemoryHub, MemoryState } from '../memory-state.ts';
import type { MemoryEventWriter } from '../memory-events.ts';
import type { AnswerValue, StateAnswer, StateRequest } from './state-messages.ts';

/**
 * What the workers of one machine share, in the memory of their supervisor: the implementation for one process, asked
 * from several. It is gone with the supervisor, as are the workers.
 */
export class StateHub {
  readonly #hub: MemoryHub;

  constructor(clock: Clock, limits: NodesLimits) {
    this.#hub = new MemoryHub(clock, limits);
  }

  /** A seat for one worker. @param answer how to say something to it. */
  seat(answer: (message: StateAnswer) => void): StateSeat {
    return new StateSeat(this.#hub, answer);
  }
}

/** One worker's part in what is shared. */
export class StateSeat {
  readonly #hub: MemoryHub;
  readonly #answer: (message: StateAnswer) => void;
  readonly #writers = new Map<number, MemoryEventWriter>();
  readonly #watches = new Map<number, Disposable>();
  #state: MemoryState | undefined;

  constructor(hub: MemoryHub, answer: (message: StateAnswer) => void) {
    this.#hub = hub;
    this.#answer = answer;
  }

  take(request: StateRequest): void {
    if (request.op === 'join') return this.#join(request.self);
    if (request.op === 'leave') return this.leave();
    const state = this.#state;
    if (!state) return;
    if ('ask' in request) return this.#reply(request.ask, ask(state, request));
    if ('writer' in request) return this.#write(state, request);
    if ('watch' in request) return this.#watch(state, request);
    tell(state, request);
  }

  /** The worker is gone: others find nobody under its name. */
  leave(): void {
    void this.#state?.stop();
    this.#state = undefined;
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
    this.#writers.clear();
  }

  #join(self: string): void {
    this.leave();
    const state = new MemoryState(this.#hub, self);
    state.mail.onLetter((letter) => this.#answer({ op: 'letter', letter }));
    state.endings.onEnding((name) => this.#answer({ op: 'ending', name }));
    state.start();
    this.#state = state;
  }

  #reply(number: number, value: Promise<AnswerValue | undefined>): void {
    value.then(
      (found) => this.#answer({ op: 'answer', ask: number, value: found ?? null }),
      (error: unknown) =>
        this.#answer({ op: 'failed', ask: number, reason: error instanceof Error ? error.message : String(error) }),
    );
  }

  #write(state: MemoryState, request: Extract<StateRequest, { readonly writer: number }>): void {
    const writer = this.#writers.get(request.writer);
    switch (request.op) {
      case 'begin':
        return void this.#writers.set(request.writer, state.events.begin(request.key, request.about));
      case 'append':
        writer?.skip(request.missed);
        return writer?.append(request.event);
      case 'touch':
        return writer?.touch();
      case 'close':
        writer?.close();
        return void this.#writers.delete(request.writer);
    }
  }

  #watch(state: MemoryState, request: Extract<StateRequest, { readonly watch: number }>): void {
    const { watch } = request;
    this.#watches.get(watch)?.[Symbol.dispose]();
    this.#watches.delete(watch);
    if (request.op === 'unwatch') return;
    const more = () => this.#answer({ op: 'more', watch });
    this.#watches.set(watch, state.events.watch(request.key, more));
  }
}

type Asked = Extract<StateRequest, { readonly ask: number }>;

function ask(state: MemoryState, request: Asked): Promise<AnswerValue | undefined> {
  switch (request.op) {
    case 'send':
      return state.mail.send(request.node, request.letter);
    case 'isPresent':
      return state.mail.isPresent(request.node);
    case 'put':
      return state.records.put(request.key, request.text, request.lifeMs).then(() => true);
    case 'get':
      return state.records.get(request.key);
    case 'read':
      return state.events.read(request.key, request.after);
  }
}

type Told = Extract<StateRequest, { readonly op: 'broadcast' | 'announce' | 'delete' }>;

function tell(state: MemoryState, request: Told): void {
  switch (request.op) {
    case 'broadcast':
      return void state.mail.broadcast(request.letter);
    case 'announce':
      return state.endings.announce(request.name, request.untilMs);
    case 'delete':
      return void state.records.delete(request.key);
  }
}
