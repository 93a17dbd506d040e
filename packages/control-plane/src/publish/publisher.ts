import { operatorScope, type Snapshot } from '@signalbox/config';
import type { Clock, Logger } from '@signalbox/runtime';
import type { Collection, CollectionSource } from '@signalbox/xds';
import type {
  ChangeFeed,
  ChangeListener,
  CommittedRevision,
  CommittedScope,
  StagedScope,
} from '../store/change-feed.ts';
import { Debounce, type DebounceOptions } from './debounce.ts';
import { ScopeStages } from './scope-stages.ts';
import { firstState, nextState, type ScopeState } from './scope-state.ts';

export interface PublisherOptions {
  readonly feed: ChangeFeed;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How commits of one scope that follow each other closely are folded into one. */
  readonly debounce: DebounceOptions;
  /** Changes of one type of one scope that are remembered, so that a stream that lags behind is cheap to serve. */
  readonly maxRememberedChanges: number;
}

/** A scope as it is published, and what has been committed since. */
interface PublishedScope {
  /** The newest that is published. */
  state: ScopeState;
  /** Who gets that, while others get what was before; undefined: all do. */
  stages: ScopeStages | undefined;
  /** As the feed has told last. */
  staged: StagedScope | undefined;
  /** Newest revision that the feed has told of. */
  known: bigint;
  /** Committed and not published yet, in order. */
  waiting: CommittedRevision[];
  /** What is shown while the state is that of a tenant that had the name before; undefined: the state is. */
  past: ScopeState | undefined;
  readonly debounce: Debounce;
}

/**
 * Turns what is committed into what is published: one immutable collection a scope, replaced by each newer revision.
 *
 * 1. Not ready, and so never empty by accident, until everything that was committed has been read.
 * 2. A revision is published whole; several in a row may be published as their last.
 * 3. A tenant's collection exists while the operator's published scope has a Tenant of its name: before its first
 *    revision is known as an empty one at revision 0. So a replica that lags behind says an older revision to a node that
 *    comes from another, instead of nothing, and the node keeps what it serves.
 *    What a tenant had that is gone is never shown of one that comes under its name.
 * 4. The highest revision wins: hearing of one again changes nothing.
 * 5. A revision that is being rolled out is published together with the one before, and with who gets which.
 */
export class Publisher implements CollectionSource {
  readonly #options: PublisherOptions;
  readonly #scopes = new Map<string, PublishedScope>();
  readonly #listeners = new Set<(ids: readonly string[]) => void>();
  #tenants: ReadonlySet<string> = new Set();
  /** Scopes with stages. */
  readonly #staged = new Set<string>();
  #ready = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Reads everything, then follows. Resolves when it is ready. */
  async start(): Promise<void> {
    const listener: ChangeListener = {
      loaded: (scopes, staged) => this.#load(scopes, staged),
      committed: (revisions, staged) => this.#commit(revisions, staged),
      holds: (scope, revision) => this.#holds(scope, revision),
    };
    await this.#options.feed.start(listener);
  }

  async stop(): Promise<void> {
    await this.#options.feed.stop();
    for (const scope of this.#scopes.values()) scope.debounce.cancel();
  }

  get ready(): boolean {
    return this.#ready;
  }

  get(id: string): Collection | undefined {
    return this.#shown(id)?.collection;
  }

  /** Scopes that are in different states for different nodes. */
  stagedIds(): Iterable<string> {
    return this.#staged;
  }

  staged(id: string): ScopeStages | undefined {
    const scope = this.#published(id);
    return scope?.past ? undefined : scope?.stages;
  }

  *ids(): Iterable<string> {
    for (const id of this.#scopes.keys()) {
      if (this.#published(id)) yield id;
    }
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Some scope is in different states for different nodes. */
  get isStaged(): boolean {
    return this.#staged.size > 0;
  }

  /** When the newest published revision of a scope was committed, in milliseconds since the epoch. */
  committedAtMs(scope: string): number | undefined {
    return this.#shown(scope)?.committedAtMs;
  }

  /** The newest published revision of a scope; undefined if it is not published. */
  newest(
    scope: string,
  ): { readonly scope: string; readonly revision: bigint; readonly committedAtMs: number } | undefined {
    const state = this.#shown(scope);
    return state && { scope, revision: state.collection.revision, committedAtMs: state.committedAtMs };
  }

  /** The scope as it is published, at its newest revision, and when that was committed; undefined if it is not. */
  state(scope: string): Pick<ScopeState, 'snapshot' | 'committedAtMs'> | undefined {
    return this.#shown(scope);
  }

  /** The scope as it is published, at its newest revision; undefined if it is not. */
  snapshot(scope: string): Snapshot | undefined {
    return this.#shown(scope)?.snapshot;
  }

  /** Everything as it is published, tenants included that no longer are: to begin with it another time. */
  committed(): { readonly scopes: readonly CommittedScope[]; readonly staged: readonly StagedScope[] } {
    const staged = Array.from(this.#scopes, ([scope, { stages }]) => stages && stagedScope(scope, stages));
    return {
      scopes: Array.from(this.#scopes.values(), ({ state }) => committedScope(state)),
      staged: staged.filter((each) => each !== undefined),
    };
  }

  #published(id: string): PublishedScope | undefined {
    const scope = this.#scopes.get(id);
    if (id === operatorScope) return scope;
    return scope && this.#tenants.has(id) ? scope : undefined;
  }

  #shown(id: string): ScopeState | undefined {
    const scope = this.#published(id);
    return scope?.past ?? scope?.state;
  }

  #load(scopes: readonly CommittedScope[], staged: readonly StagedScope[] = []): void {
    for (const loaded of scopes) this.#add(firstState(loaded));
    for (const each of staged) {
      const scope = this.#scopes.get(each.scope);
      if (!scope || !each.base.state) continue;
      scope.staged = each;
      scope.stages = new ScopeStages(scope.state, firstState(each.base.state), each.members);
      this.#staged.add(each.scope);
    }
    this.#tenants = this.#publishedTenants();
    for (const scope of this.#scopes.keys()) this.#leave(scope);
    this.#ready = true;
    this.#notify([...this.ids()]);
  }

  #add(state: ScopeState): PublishedScope {
    const { id: scope, revision } = state.collection;
    const added: PublishedScope = {
      ...{ state, stages: undefined, staged: undefined, known: revision, waiting: [], past: undefined },
      debounce: new Debounce(this.#options.debounce, this.#options.clock, () => this.#publish(scope)),
    };
    this.#scopes.set(scope, added);
    return added;
  }

  #commit(revisions: readonly CommittedRevision[], staged: readonly StagedScope[] | undefined): void {
    for (const committed of revisions) this.#note(committed);
    const restaged = staged ? this.#restage(staged) : [];
    const changed = new Set([...revisions.map(({ scope }) => scope), ...restaged]);
    for (const scope of changed) {
      const state = this.#scopes.get(scope);
      if (state && (state.waiting.length > 0 || isRestaged(state))) state.debounce.call();
    }
  }

  /** Keeps a revision for publishing. A feed that fell behind may tell of several revisions as one. */
  #note(committed: CommittedRevision): void {
    const { scope, revision } = committed;
    const state = this.#scopes.get(scope) ?? this.#add(firstState({ ...committed, revision: 0n, resources: [] }));
    // One that was out of sight may be back as it was.
    const isBack = state.past !== undefined && revision === state.known;
    if (revision <= state.known && !isBack) return;
    if (revision !== state.known + 1n && state.known !== 0n && !isBack) {
      this.#options.logger.info('several revisions were read as one', {
        scope,
        from: String(state.known),
        to: String(revision),
      });
    }
    state.known = revision;
    state.waiting.push(committed);
  }

  /** Keeps who gets what. @returns scopes of which this may have changed. */
  #restage(staged: readonly StagedScope[]): readonly string[] {
    const byScope = new Map(staged.map((each) => [each.scope, each]));
    for (const [scope, published] of this.#scopes) published.staged = byScope.get(scope);
    return [...this.#scopes].filter(([, published]) => isRestaged(published)).map(([scope]) => scope);
  }

  #holds(scope: string, revision: bigint): boolean {
    const published = this.#scopes.get(scope);
    if (!published) return false;
    const { state, stages, waiting } = published;
    const held = [state.collection.revision, stages?.base.collection.revision, ...waiting.map((each) => each.revision)];
    return held.includes(revision);
  }

  #publish(scope: string): void {
    const published = this.#scopes.get(scope);
    if (!published) return;
    const { maxRememberedChanges: maxLogged } = this.#options;
    const { staged, waiting } = published;
    const changed = [scope];
    // What most nodes have is one of the states on the way to the newest.
    const upToBase = staged ? waiting.filter(({ revision }) => revision <= staged.base.revision) : [];
    const middle = nextState(published.state, upToBase, maxLogged);
    const base = staged && this.#baseOf(staged, published, middle);
    if (waiting.length > 0) published.past = undefined;
    published.waiting = [];
    published.state = nextState(middle, waiting.slice(upToBase.length), maxLogged);
    published.stages = staged && base && new ScopeStages(published.state, base, staged.members);
    if (published.stages) this.#staged.add(scope);
    else this.#staged.delete(scope);
    if (scope === operatorScope) {
      const before = this.#tenants;
      this.#tenants = this.#publishedTenants();
      changed.push(...[...this.#tenants].filter((name) => !before.has(name)));
      changed.push(...[...before].filter((name) => !this.#tenants.has(name)));
      for (const name of before) this.#leave(name);
    }
    this.#notify(changed);
  }

  /** A tenant that the operator no longer has. One that was emptied is what comes under its name begins with. */
  #leave(scope: string): void {
    const left = this.#scopes.get(scope);
    if (!left || scope === operatorScope || this.#tenants.has(scope) || left.state.snapshot.resources.size === 0)
      return;
    const none = { revision: 0n, removalsConfirmed: 0n, resources: [] };
    left.past = firstState({ scope, ...none, committedAtMs: left.state.committedAtMs });
  }

  #baseOf({ scope, base }: StagedScope, { stages }: PublishedScope, middle: ScopeState): ScopeState {
    const known = [stages?.base, middle].find((state) => state?.snapshot.revision === base.revision);
    if (known) return known;
    if (base.state) return firstState(base.state);
    throw new Error(`nobody knows ${scope} at revision ${base.revision}, which most of its nodes have`);
  }

  #publishedTenants(): ReadonlySet<string> {
    const operator = this.#scopes.get(operatorScope)?.state;
    const resources = operator?.snapshot.resources.values() ?? [];
    const names = new Set([...resources].filter(({ kind }) => kind === 'Tenant').map(({ name }) => name));
    for (const scope of names) {
      if (this.#scopes.has(scope)) continue;
      const none = { revision: 0n, removalsConfirmed: 0n, resources: [] };
      this.#add(firstState({ scope, ...none, committedAtMs: operator?.committedAtMs ?? 0 }));
    }
    return names;
  }

  #notify(ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(ids);
  }
}

/** Who gets what is not as it is published. */
function isRestaged({ staged, stages }: PublishedScope): boolean {
  if (!staged || !stages) return (staged === undefined) !== (stages === undefined);
  if (staged.base.revision !== stages.base.snapshot.revision) return true;
  return JSON.stringify(staged.members) !== JSON.stringify(stages.members);
}

function committedScope({ snapshot, committedAtMs, removalsConfirmed }: ScopeState): CommittedScope {
  const { scope, revision, resources } = snapshot;
  const confirmed = removalsConfirmed < revision ? removalsConfirmed : revision;
  return { scope, revision, committedAtMs, removalsConfirmed: confirmed, resources: [...resources.values()] };
}

function stagedScope(scope: string, { members, base }: ScopeStages): StagedScope {
  return { scope, members, base: { revision: base.snapshot.revision, state: committedScope(base) } };
}
