import type { Snapshot } from '@signalbox/config';
import type { Collection, StagedCollection, StreamInfo } from '@signalbox/xds';

import type { ScopeStages } from './scope-stages.ts';
import type { ViewCollection } from './view-collection.ts';

export interface ViewStagesOptions {
  /** With the newest revision of every tenant. */
  readonly newest: ViewCollection;
  /** Tenants of which not all subscribers get the newest revision. */
  readonly scopes: readonly (readonly [scope: string, stages: ScopeStages])[];
  /** The view with older snapshots of some tenants. */
  readonly project: (bases: ReadonlyMap<string, Snapshot>, before: ViewCollection | undefined) => ViewCollection;
  /** Variants that may exist; beyond them subscribers get what most have. */
  readonly maxVariants: number;
  /** What the view was before: what has not changed is taken over. */
  readonly before: ViewStages | undefined;
}

/**
 * A view in as many variants as there are kinds of subscribers in it: of each tenant that is rolled out in stages they get
 * the newest revision or the one before. A variant is made when somebody needs it.
 */
export class ViewStages implements StagedCollection {
  readonly #options: Omit<ViewStagesOptions, 'before'>;
  readonly #variants = new Map<string, ViewCollection>();
  readonly #earlier: ReadonlyMap<string, ViewCollection>;

  constructor({ before, ...options }: ViewStagesOptions) {
    this.#options = options;
    this.#earlier = before ? before.#variants : new Map();
  }

  stateFor(stream: StreamInfo): Collection {
    const { newest, scopes, maxVariants } = this.#options;
    const held = scopes.filter(([, stages]) => !stages.includes(stream));
    if (held.length === 0) return newest;
    const variant = this.#variant(held);
    if (variant) return variant;
    return this.#variants.size < maxVariants ? this.#make(held) : (this.#variant(scopes) ?? this.#make(scopes));
  }

  #variant(held: ViewStagesOptions['scopes']): ViewCollection | undefined {
    return this.#variants.get(keyOf(held));
  }

  #make(held: ViewStagesOptions['scopes']): ViewCollection {
    const bases = new Map(held.map(([scope, { base }]) => [scope, base.snapshot]));
    const key = keyOf(held);
    const made = this.#options.project(bases, this.#earlier.get(key) ?? this.#options.newest);
    this.#variants.set(key, made);
    return made;
  }
}

function keyOf(held: ViewStagesOptions['scopes']): string {
  return held.map(([scope]) => scope).join(' ');
}
