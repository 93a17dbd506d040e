import type { Clock, Counter, Logger, Metrics } from '@signalbox/runtime';

import { isOutage } from '../store/outage.ts';
import type { RolloutStore } from '../store/rollout-store.ts';
import { decide, type Decision, type FleetNode, type FleetView, next } from './decide.ts';
import { isLimited, noHealth } from './health.ts';
import type { HealthCollector } from './health-collector.ts';
import type { Rollout, RolloutState } from './rollout.ts';
import { halt, promotion, type Transition, transition } from './transition.ts';

/** The nodes that serve a tenant. */
export interface RolloutFleet {
  /** Keeps what is known of nodes fresh, until disposed of. */
  follow(): Disposable;
  /** Reads now what other replicas know. Does not fail. */
  refresh(): Promise<void>;
  /** Nodes as a rollout sees them; or why not all of them are known. */
  nodes(rollout: Rollout): readonly FleetNode[] | { readonly incomplete: string };
}

/** Writes the revision that returns to what was before. */
export interface TakeBack {
  (rollout: Rollout, why: { readonly reason: string; readonly actor: string }): Promise<TakenBack>;
}

/** `changed`: somebody has written the scope meanwhile. A text: why it is refused. */
export type TakenBack = 'done' | 'changed' | { readonly refused: string };

export interface RolloutDriverOptions {
  readonly store: Pick<RolloutStore, 'underWay' | 'change' | 'report' | 'health' | 'sweep'>;
  readonly fleet: RolloutFleet;
  readonly health: HealthCollector;
  readonly takeBack: TakeBack;
  /** Whether this replica knows of a rollout that is under way: without one, nothing is asked of the database. */
  readonly isNeeded: () => boolean;
  /** A UUID, of this process. */
  readonly replica: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** How long a node that left may take to come back, in milliseconds. */
  readonly returnMs: number;
  /** Time between two looks at what is under way, in milliseconds. */
  readonly intervalMs: number;
}

/** An answer of the database may be so much late, and no jump. */
const leastJumpMs = 15_000;

/**
 * Moves rollouts on. Every replica has one, and none leads: each looks at the same rows, decides the same way and writes a
 * decision only on top of the version that it has seen. Without the database every rollout stays where it is.
 */
export class RolloutDriver {
  readonly #options: RolloutDriverOptions;
  readonly #decisions: (kind: string) => Counter;
  readonly #underWay = new Map<RolloutState, number>();
  #timer: Disposable | undefined;
  #turn: Promise<void> | undefined;
  #following: Disposable | undefined;
  /** Since when nodes are watched, in the database's time. */
  #sinceMs: number | undefined;
  /** What time it was in the database when it was asked last, and in ours, which does not jump. */
  #lastLook: { readonly databaseMs: number; readonly monotonicMs: number } | undefined;
  #failing = false;

  constructor(options: RolloutDriverOptions) {
    this.#options = options;
    const { metrics } = options;
    metrics.onCollect(() => {
      for (const state of ['running', 'paused', 'halted'] as const) {
        const help = 'Rollouts that are under way, as this replica has seen last.';
        metrics.gauge('signalbox_rollouts', help, { state }).set(this.#underWay.get(state) ?? 0);
      }
    });
    this.#decisions = (kind) =>
      metrics.counter('signalbox_rollout_decisions_total', 'Changes of rollouts by this replica.', { kind });
  }

  start(): void {
    this.#timer = this.#options.clock.interval(this.#options.intervalMs, () => this.kick());
  }

  async stop(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#turn;
    this.#following?.[Symbol.dispose]();
  }

  /** Looks now, unless it does already. */
  kick(): void {
    this.#turn ??= this.#look().finally(() => {
      this.#turn = undefined;
    });
  }

  async #look(): Promise<void> {
    await this.#guarded('rollouts cannot be moved on', async () => {
      if (this.#options.isNeeded()) await this.#lookAtAll();
      else this.#rest();
      this.#failing = false;
    });
  }

  /** One failure stops nothing else. */
  async #guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const fields = { error: String(error) };
      const { logger } = this.#options;
      if (!isOutage(error)) logger.error(what, fields);
      else if (!this.#failing) logger.warn('the database does not answer: rollouts stay where they are', fields);
      this.#failing = true;
    }
  }

  #rest(): void {
    if (!this.#following) return;
    this.#following[Symbol.dispose]();
    this.#following = undefined;
    this.#sinceMs = undefined;
    this.#lastLook = undefined;
    this.#options.health.follow([]);
    this.#underWay.clear();
    void this.#options.store.sweep().catch(() => undefined);
  }

  async #lookAtAll(): Promise<void> {
    const { store, fleet, health } = this.#options;
    this.#following ??= fleet.follow();
    await this.#guarded('what nodes say cannot be shared', () => this.#share());
    const { nowMs, rollouts } = await store.underWay();
    const jumpMs = this.#jumpOf(nowMs);
    if (jumpMs !== 0) this.#sinceMs = nowMs;
    this.#sinceMs ??= nowMs;
    health.follow(rollouts);
    this.#underWay.clear();
    for (const { state } of rollouts) this.#underWay.set(state, (this.#underWay.get(state) ?? 0) + 1);
    for (const rollout of rollouts) {
      const what = `the rollout of ${rollout.scope} cannot be moved on`;
      const isOff = jumpMs !== 0 && rollout.state === 'running' && rollout.settledSinceMs !== undefined;
      await this.#guarded(what, () => (isOff ? this.#soakAgain(rollout, nowMs) : this.#moveOn(rollout, nowMs)));
    }
  }

  /** By how much the database's clock has jumped since the last look; 0 if it has not. */
  #jumpOf(databaseMs: number): number {
    const before = this.#lastLook;
    const monotonicMs = this.#options.clock.monotonic();
    this.#lastLook = { databaseMs, monotonicMs };
    if (!before) return 0;
    const jumpMs = databaseMs - before.databaseMs - (monotonicMs - before.monotonicMs);
    if (Math.abs(jumpMs) < leastJumpMs) return 0;
    this.#options.logger.warn('the clock of the database has jumped: the time of every stage begins again', { jumpMs });
    return jumpMs;
  }

  /** What a stage has shown is told by a clock that nobody can believe: it has to show it again. */
  async #soakAgain(rollout: Rollout, nowMs: number): Promise<void> {
    const settled = transition(rollout, { kind: 'settle', members: rollout.members }, { nowMs, actor: '' });
    const detail = 'again: the clock of the database has jumped';
    await this.#write({ ...settled, event: { ...settled.event, detail } });
  }

  async #share(): Promise<void> {
    const { store, health, replica } = this.#options;
    const said = health.takeChanged();
    if (said.length === 0) return;
    await store.report(replica, said).catch((error: unknown) => {
      health.giveBack(said);
      throw error;
    });
  }

  async #moveOn(rollout: Rollout, nowMs: number): Promise<void> {
    const nodes = this.#options.fleet.nodes(rollout);
    if ('incomplete' in nodes) return;
    const decision = decide(rollout, await this.#view(rollout, nodes, nowMs), nowMs);
    if (decision) await this.act(rollout, decision, { nowMs, actor: '' });
  }

  async #view(rollout: Rollout, nodes: readonly FleetNode[], nowMs: number): Promise<FleetView> {
    const { store, returnMs } = this.#options;
    const health = isLimited(rollout.plan.limits)
      ? await store.health(rollout)
      : { candidate: noHealth, base: noHealth };
    return { nodes, sinceMs: this.#sinceMs ?? nowMs, returnMs, ...health };
  }

  /** Does what was decided. @returns false if somebody else has changed the rollout meanwhile. */
  async act(
    rollout: Rollout,
    decision: Decision,
    { nowMs, actor }: { readonly nowMs: number; readonly actor: string },
  ): Promise<boolean> {
    if (decision.kind !== 'take-back') return this.#write(transition(rollout, decision, { nowMs, actor }));
    const { reason } = decision;
    const taken = await this.#options.takeBack(rollout, { reason, actor });
    if (taken === 'changed') return false;
    if (taken !== 'done') return this.#write(halt(rollout, `${reason}; it cannot be taken back: ${taken.refused}`));
    this.#note(rollout, 'rolled-back', reason);
    return true;
  }

  /** Moves on to the next stage, or to all nodes, whatever the present one has shown. */
  async promote(
    rollout: Rollout,
    to: 'next' | 'all',
    by: { readonly nowMs: number; readonly actor: string; readonly reason: string },
  ): Promise<boolean> {
    const nodes = this.#options.fleet.nodes(rollout);
    const connected = 'incomplete' in nodes ? [] : nodes.filter((node) => node.connected);
    const decision = to === 'all' ? ({ kind: 'complete' } as const) : next(rollout, connected);
    return this.#write(promotion(transition(rollout, decision, by), by.reason));
  }

  async #write(change: Transition): Promise<boolean> {
    if (!(await this.#options.store.change(change))) return false;
    this.#note(change.rollout, change.event.event, change.event.detail);
    return true;
  }

  #note({ scope, revision }: Rollout, event: string, detail: string): void {
    this.#decisions(event).add();
    this.#options.logger.info('a rollout goes on', { scope, revision: String(revision), event, detail });
  }
}
