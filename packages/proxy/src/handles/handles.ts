import type { Clock, Random } from '@signalbox/runtime';
import { Seal } from '../session/seal.ts';
import type { SessionKeys } from '../session/session-keys.ts';
import type { HandleLimits } from './limits.ts';

/** What a `requestState` is good for: the same request of the same caller at the same backend. */
export interface StateBinding {
  readonly principal: string;
  /** Digest of the backend. */
  readonly backend: string;
  /** Digest of the request, see `requestDigest`. */
  readonly request: string;
}

/** A task as its server knows it. */
export interface TaskPlace {
  readonly principal: string;
  /** Digest of the backend. */
  readonly backend: string;
  /** Presented name of the tool whose call the task is: policy is asked about it whenever the task is. */
  readonly tool: string;
  /** The server's id of it. */
  readonly own: string;
}

/** A state that a client brought back: as the server gave it, or why it is not taken. */
export type OpenedState = { readonly raw: string } | { readonly refused: string };

/**
 * Names that servers give and get back: states of requests (MCP 2026-07-28, multi round-trip requests) and ids of tasks.
 * Clients get them sealed, so that they lead only their caller to their server, through any node; whatever else is
 * brought never reaches a server.
 */
export class Handles {
  readonly #states: Seal;
  readonly #tasks: Seal;
  readonly #clock: Clock;
  readonly #limits: HandleLimits;
  /** Ids of tasks as clients have them, by principal, backend and the server's id. The oldest give way. */
  readonly #known = new Map<string, string>();

  constructor(
    deps: { readonly sessionKeys: SessionKeys; readonly random: Random; readonly clock: Clock },
    limits: HandleLimits,
  ) {
    this.#states = new Seal(deps.sessionKeys, deps.random, 'server-state');
    this.#tasks = new Seal(deps.sessionKeys, deps.random, 'task');
    this.#clock = deps.clock;
    this.#limits = limits;
  }

  /** @param raw raw JSON of the server's state. */
  sealState(raw: string, { principal, backend, request }: StateBinding): string {
    const expires = this.#clock.now() + this.#limits.stateMs;
    return this.#states.seal(JSON.stringify([principal, backend, request, expires, raw]));
  }

  openState(sealed: string, { principal, backend, request }: StateBinding): OpenedState {
    const plain = this.#states.open(sealed);
    if (plain === undefined) return notOurs;
    const [of, at, about, expires, raw] = JSON.parse(plain) as [string, string, string, number, string];
    if (of !== principal || at !== backend || about !== request) return notOurs;
    return expires > this.#clock.now()
      ? { raw }
      : { refused: 'requestState has expired: make the request again without it' };
  }

  /** The id of a task as its client gets it: always the same. */
  sealTask(place: TaskPlace): string {
    const { principal, backend, tool, own } = place;
    const id = this.#tasks.sealAlike(JSON.stringify([principal, backend, tool, own]));
    this.#remember(place, id);
    return id;
  }

  /** @returns undefined for what is not an id of a task of this caller. */
  openTask(id: string, principal: string): TaskPlace | undefined {
    const plain = this.#tasks.open(id);
    if (plain === undefined) return undefined;
    const [of, backend, tool, own] = JSON.parse(plain) as [string, string, string, string];
    if (of !== principal) return undefined;
    const place = { principal, backend, tool, own };
    this.#remember(place, id);
    return place;
  }

  #remember(place: TaskPlace, id: string): void {
    const oldest = this.#known.keys().next();
    const key = keyOf(place);
    if (this.#known.size >= this.#limits.tasks && !oldest.done && !this.#known.has(key))
      this.#known.delete(oldest.value);
    this.#known.set(key, id);
  }

  /** The id that a caller has of a task, if this node has given it. */
  knownTask(place: Omit<TaskPlace, 'tool'>): string | undefined {
    return this.#known.get(keyOf(place));
  }
}

const notOurs: OpenedState = { refused: 'requestState is not one that this request was answered with' };

function keyOf({ principal, backend, own }: Omit<TaskPlace, 'tool'>): string {
  return JSON.stringify([principal, backend, own]);
}
