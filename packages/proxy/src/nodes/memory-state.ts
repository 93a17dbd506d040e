import type { Clock } from '@signalbox/runtime';
import type { NodesLimits } from './limits.ts';
import { MemoryEventLog } from './memory-events.ts';
import {
  type Endings,
  type Mail,
  type RecordKey,
  type Records,
  type SharedState,
  SharedStateError,
} from './shared-state.ts';

/** Where nodes in one process meet: one node alone, or several in a test. */
export class MemoryHub {
  readonly limits: NodesLimits;
  readonly clock: Clock;
  readonly nodes = new Map<string, MemoryState>();
  /** Names by when they are of no more use. */
  readonly ended = new Map<string, number>();
  readonly records: MemoryRecords;
  readonly events: MemoryEventLog;

  constructor(clock: Clock, limits: NodesLimits) {
    this.clock = clock;
    this.limits = limits;
    this.records = new MemoryRecords(clock, limits);
    this.events = new MemoryEventLog(clock, limits);
  }
}

/** What nodes share, in memory: for one node, whose sessions and events end with it. */
export class MemoryState implements SharedState {
  readonly self: string;
  readonly mail: Mail;
  readonly endings: Endings;
  readonly records: Records;
  readonly events: MemoryEventLog;
  readonly #hub: MemoryHub;
  #onLetter: (letter: string) => void = () => undefined;
  #onEnding: (name: string) => void = () => undefined;

  constructor(hub: MemoryHub, self: string) {
    this.self = self;
    this.#hub = hub;
    this.records = hub.records;
    this.events = hub.events;
    this.mail = {
      send: (node, letter) => Promise.resolve(this.#send(node, letter)),
      broadcast: (letter) => Promise.resolve(this.#broadcast(letter)),
      isPresent: (node) => Promise.resolve(hub.nodes.has(node)),
      onLetter: (listener) => void (this.#onLetter = listener),
    };
    this.endings = {
      announce: (name, untilMs) => this.#announce(name, untilMs),
      onEnding: (listener) => void (this.#onEnding = listener),
    };
  }

  start(): void {
    const { nodes, ended, clock } = this.#hub;
    nodes.set(this.self, this);
    for (const [name, untilMs] of ended) if (untilMs > clock.now()) this.#onEnding(name);
  }

  stop(): Promise<void> {
    this.#hub.nodes.delete(this.self);
    return Promise.resolve();
  }

  #send(node: string, letter: string): boolean {
    const receiver = this.#hub.nodes.get(node);
    if (receiver) queueMicrotask(() => receiver.#onLetter(letter));
    return receiver !== undefined;
  }

  #broadcast(letter: string): void {
    for (const node of this.#hub.nodes.keys()) if (node !== this.self) this.#send(node, letter);
  }

  #announce(name: string, untilMs: number): void {
    const { nodes, ended, limits } = this.#hub;
    const oldest = ended.keys().next();
    if (ended.size >= limits.endings && !oldest.done) ended.delete(oldest.value);
    ended.set(name, untilMs);
    for (const node of nodes.values()) if (node !== this) queueMicrotask(() => node.#onEnding(name));
  }
}

/** The record that was put first gives way when there are too many bytes. */
class MemoryRecords implements Records {
  readonly #clock: Clock;
  readonly #limits: NodesLimits;
  readonly #kept = new Map<string, { readonly text: string; readonly expiresAt: number }>();
  #bytes = 0;

  constructor(clock: Clock, limits: NodesLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  put(key: RecordKey, text: string, lifeMs: number): Promise<void> {
    const { recordBytes, memoryBytes } = this.#limits;
    if (text.length > recordBytes) return Promise.reject(new SharedStateError('the record is too large'));
    this.#drop(nameOf(key));
    this.#kept.set(nameOf(key), { text, expiresAt: this.#clock.now() + lifeMs });
    this.#bytes += text.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= memoryBytes) break;
      this.#drop(oldest);
    }
    return Promise.resolve();
  }

  get(key: RecordKey): Promise<string | undefined> {
    const kept = this.#kept.get(nameOf(key));
    if (kept && kept.expiresAt > this.#clock.now()) return Promise.resolve(kept.text);
    this.#drop(nameOf(key));
    return Promise.resolve(undefined);
  }

  delete(key: RecordKey): Promise<void> {
    this.#drop(nameOf(key));
    return Promise.resolve();
  }

  #drop(name: string): void {
    const kept = this.#kept.get(name);
    if (!kept) return;
    this.#bytes -= kept.text.length;
    this.#kept.delete(name);
  }
}

function nameOf({ tenant, session }: RecordKey): string {
  return JSON.stringify([tenant, session]);
}
