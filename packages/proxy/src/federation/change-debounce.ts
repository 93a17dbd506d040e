import type { Clock } from '@signalbox/runtime';

/** Lists whose changes members tell of. */
export const changeKinds = ['tools', 'prompts', 'resources'] as const;
export type ChangeKind = (typeof changeKinds)[number];

/**
 * Turns the change notifications of several members into few for one client: those that come together are one, and a
 * member that tells of changes all the time is heard only now and then. None is lost: the last one always leads to a
 * notification.
 */
export class ChangeDebounce {
  readonly #clock: Clock;
  readonly #gatherMs: number;
  readonly #spacingMs: number;
  readonly #emit: (kind: ChangeKind) => void;
  readonly #gathering = new Map<ChangeKind, Disposable>();
  /** By member and kind: until when its next change waits. */
  readonly #quietUntil = new Map<string, number>();
  readonly #waiting = new Map<string, Disposable>();

  /** @param emit tells the client. */
  constructor(
    clock: Clock,
    { gatherMs, spacingMs }: { readonly gatherMs: number; readonly spacingMs: number },
    emit: (kind: ChangeKind) => void,
  ) {
    this.#clock = clock;
    this.#gatherMs = gatherMs;
    this.#spacingMs = spacingMs;
    this.#emit = emit;
  }

  /** @param member its key; empty when the gateway itself has changed something. */
  changed(member: string, kind: ChangeKind): void {
    const key = `${kind} ${member}`;
    if (this.#waiting.has(key)) return;
    const wait = member === '' ? 0 : (this.#quietUntil.get(key) ?? 0) - this.#clock.monotonic();
    if (wait <= 0) return this.#pass(key, kind);
    const timer = this.#clock.timer(wait, () => {
      this.#waiting.delete(key);
      this.#pass(key, kind);
    });
    this.#waiting.set(key, timer);
  }

  /** @returns of what a change was still to be told. */
  stop(): ReadonlySet<ChangeKind> {
    const untold = new Set(this.#gathering.keys());
    for (const key of this.#waiting.keys()) untold.add(key.slice(0, key.indexOf(' ')) as ChangeKind);
    for (const timer of [...this.#gathering.values(), ...this.#waiting.values()]) timer[Symbol.dispose]();
    this.#gathering.clear();
    this.#waiting.clear();
    return untold;
  }

  #pass(key: string, kind: ChangeKind): void {
    this.#quietUntil.set(key, this.#clock.monotonic() + this.#spacingMs);
    if (this.#gathering.has(kind)) return;
    const timer = this.#clock.timer(this.#gatherMs, () => {
      this.#gathering.delete(kind);
      this.#emit(kind);
    });
    this.#gathering.set(kind, timer);
  }
}
