import type { Clock } from '@signalbox/runtime';
import type { NodesLimits } from './limits.ts';
import type { EventLog, EventLogWriter, LoggedEvent, LoggedEvents, StreamKey } from './shared-state.ts';

interface Kept {
  readonly about: string;
  readonly events: LoggedEvent[];
  bytes: number;
  next: number;
  isClosed: boolean;
  /** By the monotonic clock. */
  usedAt: number;
}

export interface MemoryEventWriter extends EventLogWriter {
  /** Events that could not be kept: readers see the gap. */
  skip(count: number): void;
}

/** Events in memory. Beyond the bytes of all streams the ones that were written to longest ago go. */
export class MemoryEventLog implements EventLog {
  readonly #clock: Clock;
  readonly #limits: NodesLimits;
  /** Written to longest ago first. */
  readonly #streams = new Map<string, Kept>();
  readonly #watchers = new Map<string, Set<() => void>>();
  #bytes = 0;

  constructor(clock: Clock, limits: NodesLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  begin(key: StreamKey, about: string): MemoryEventWriter {
    const name = nameOf(key);
    const kept: Kept = { about, events: [], bytes: 0, next: 1, isClosed: false, usedAt: this.#clock.monotonic() };
    this.#streams.set(name, kept);
    return {
      get next() {
        return kept.next;
      },
      append: (event) => this.#append(name, kept, event),
      skip: (count) => void (kept.next += count),
      touch: () => this.#touch(name, kept),
      close: () => {
        kept.isClosed = true;
        this.#tell(name);
      },
    };
  }

  read(key: StreamKey, after: number): Promise<LoggedEvents | undefined> {
    this.#dropOld();
    const kept = this.#streams.get(nameOf(key));
    if (!kept) return Promise.resolve(undefined);
    const { about, events, isClosed } = kept;
    return Promise.resolve({ about, isClosed, events: events.filter(({ position }) => position > after) });
  }

  watch(key: StreamKey, onMore: () => void): Disposable {
    const name = nameOf(key);
    const watchers = this.#watchers.get(name) ?? new Set();
    this.#watchers.set(name, watchers.add(onMore));
    return {
      [Symbol.dispose]: () => {
        watchers.delete(onMore);
        if (watchers.size === 0) this.#watchers.delete(name);
      },
    };
  }

  #append(name: string, kept: Kept, text: string): void {
    const { streamEvents, streamEventBytes, memoryBytes } = this.#limits;
    kept.next += 1;
    // It has given way to others: who asks for it is told so.
    if (this.#streams.get(name) !== kept) return;
    kept.events.push({ position: kept.next - 1, text });
    this.#grow(kept, text.length);
    while (kept.events.length > 0 && (kept.events.length > streamEvents || kept.bytes > streamEventBytes)) {
      this.#grow(kept, -(kept.events.shift()?.text.length ?? 0));
    }
    this.#touch(name, kept);
    this.#dropOld();
    for (const oldest of this.#streams.keys()) {
      if (this.#bytes <= memoryBytes) break;
      this.#drop(oldest);
    }
    this.#tell(name);
  }

  #touch(name: string, kept: Kept): void {
    if (this.#streams.get(name) !== kept) return;
    kept.usedAt = this.#clock.monotonic();
    this.#streams.delete(name);
    this.#streams.set(name, kept);
  }

  #grow(kept: Kept, bytes: number): void {
    kept.bytes += bytes;
    this.#bytes += bytes;
  }

  #dropOld(): void {
    const before = this.#clock.monotonic() - this.#limits.streamEventMs;
    for (const [name, { usedAt }] of this.#streams) {
      if (usedAt >= before) return;
      this.#drop(name);
    }
  }

  #drop(name: string): void {
    const kept = this.#streams.get(name);
    if (!kept) return;
    this.#streams.delete(name);
    this.#grow(kept, -kept.bytes);
    kept.events.length = 0;
  }

  #tell(name: string): void {
    for (const onMore of this.#watchers.get(name) ?? []) queueMicrotask(onMore);
  }
}

function nameOf({ tenant, session, stream }: StreamKey): string {
  return JSON.stringify([tenant, session, stream]);
}
