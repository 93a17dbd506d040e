import type { StageHealth } from '../store/rollout-store.ts';
import { addHealth, type Health, noHealth } from './health.ts';
import type { Rollout } from './rollout.ts';

/** What nodes tell this replica of how they do, for the rollouts that are under way: a sum for each, whatever the fleet. */
export class HealthCollector {
  readonly #stages = new Map<string, StageHealth & { readonly baseRevision: bigint }>();
  readonly #unsaid = new Set<string>();

  /** Tenants of which reports are wanted. */
  get scopes(): Iterable<string> {
    return this.#stages.keys();
  }

  /** From here on these are under way. What was told of another stage is forgotten: it has been said. */
  follow(rollouts: readonly Rollout[]): void {
    const underWay = new Map(rollouts.map((rollout) => [rollout.scope, rollout]));
    for (const scope of this.#stages.keys()) if (!underWay.has(scope)) this.#stages.delete(scope);
    for (const { scope, revision, base: baseRevision, stage } of rollouts) {
      const known = this.#stages.get(scope);
      if (known?.revision === revision && known.stage === stage) continue;
      this.#stages.set(scope, { scope, revision, baseRevision, stage, candidate: noHealth, base: noHealth });
    }
  }

  /** A node has told how it did under a revision. */
  add(scope: string, revision: bigint, health: Health): void {
    const stage = this.#stages.get(scope);
    if (!stage || health.requests === 0) return;
    const { candidate, base } = stage;
    if (revision === stage.revision) this.#stages.set(scope, { ...stage, candidate: addHealth(candidate, health) });
    else if (revision <= stage.baseRevision) this.#stages.set(scope, { ...stage, base: addHealth(base, health) });
    else return;
    this.#unsaid.add(scope);
  }

  /** What has changed since this was asked last. */
  takeChanged(): readonly StageHealth[] {
    const changed = [...this.#unsaid].flatMap((scope) => this.#stages.get(scope) ?? []);
    this.#unsaid.clear();
    return changed;
  }

  /** What was taken could not be said. */
  giveBack(stages: readonly StageHealth[]): void {
    for (const { scope } of stages) this.#unsaid.add(scope);
  }
}
