import { fromBinary } from '@bufbuild/protobuf';
import {
  digestOf,
  discoveryName,
  type Kind,
  kindOfTypeUrl,
  makeSnapshot,
  operatorScope,
  parseDiscoveryName,
  typeUrlOf,
} from '@signalbox/config';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import type { Clock, Counter, Logger, Metrics } from '@signalbox/runtime';
import type {
  ClientHandler,
  ReceivedResource,
  ResourceFault,
  ResourceUpdate,
  SubscriptionChange,
} from '@signalbox/xds';

import { projectManifest } from '../projections/native.ts';
import type { ChangeFeed, ChangeListener, CommittedRevision, CommittedScope } from '../store/change-feed.ts';
import { type Announced, ReceivedSet, type ReceivedSetLimits } from './received-set.ts';

export interface UpstreamFeedOptions {
  /** What was served before the process ended; undefined if nothing was kept. */
  readonly loadSnapshot: () => Promise<{ readonly scopes: readonly CommittedScope[] } | undefined>;
  /** Asks for other names than before on the present stream. */
  readonly resubscribe: (changes: readonly SubscriptionChange[]) => void;
  readonly limits: ReceivedSetLimits & {
    /** Tenants, and the operator. */
    readonly scopes: number;
  };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const manifestType = typeUrlOf('Manifest');
/** A Manifest that never exists: when its absence is answered, everything that does exist has been sent. */
const fence = discoveryName({ kind: 'Manifest', scope: operatorScope, name: 'caught-up' });

/**
 * What another control plane publishes, in place of the log of a database. Bytes, versions and revisions are those that
 * came.
 *
 * 1. A revision is told of when its Manifest has come and the set has the hash that the Manifest names: whole or not at all.
 * 2. Nothing is told of before everything has come once, or was found on disk: a relay is never empty by accident.
 * 3. What a node would not serve is not passed on: an older revision, a set that lost most of its resources without a word.
 * 4. What is no longer sent stays as it was. A tenant goes when the operator's set no longer names it.
 */
export class UpstreamFeed implements ChangeFeed, ClientHandler {
  readonly #options: UpstreamFeedOptions;
  readonly #sets = new Map<string, ReceivedSet>();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #caughtUp = Promise.withResolvers<void>();
  readonly #refused: Counter;
  #listener: ChangeListener | undefined;
  #isCaughtUp = false;
  /** Everything has been sent once, whether it could be taken or not. */
  #isAllSent = false;
  /** Since when the upstream is out of reach, in monotonic milliseconds; undefined while connected. */
  #staleSinceMs: number | undefined;

  constructor(options: UpstreamFeedOptions) {
    const { clock, metrics } = options;
    this.#options = options;
    this.#staleSinceMs = clock.monotonic();
    this.#refused = metrics.counter('signalbox_relay_refused_total', 'Revisions that this relay did not pass on.');
    const staleness = metrics.gauge(
      'signalbox_config_staleness_seconds',
      'How old the served configuration may be: since when the upstream has been out of reach; 0 while it is not.',
    );
    metrics.onCollect(() => staleness.set(this.stalenessMs / 1_000));
  }

  /** Since how long the upstream has been out of reach, in milliseconds; 0 while connected. */
  get stalenessMs(): number {
    const since = this.#staleSinceMs;
    return since === undefined ? 0 : Math.max(1, this.#options.clock.monotonic() - since);
  }

  /**
   * Resolves when it holds what was on disk. A stream that begins earlier says that nothing is held: it would never be
   * told what was removed meanwhile.
   */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Serves what is on disk at once, or resolves when everything has come from the upstream. */
  async start(listener: ChangeListener): Promise<void> {
    const snapshot = await this.#options.loadSnapshot();
    this.#restore(snapshot?.scopes ?? []);
    this.#isCaughtUp = snapshot !== undefined;
    this.#loaded.resolve();
    if (snapshot) this.#options.logger.info('serving what was on disk', { scopes: snapshot.scopes.length });
    else await this.#caughtUp.promise;
    listener.loaded([...this.#sets.values()].flatMap(({ committed }) => committed ?? []));
    this.#listener = listener;
  }

  /** Nothing to hurry: changes come by themselves. */
  kick(): void {}

  stop(): Promise<void> {
    this.#caughtUp.reject(new Error('the relay was stopped before everything had come'));
    this.#caughtUp.promise.catch(() => undefined);
    return Promise.resolve();
  }

  subscriptions(typeUrl: string): readonly string[] {
    return typeUrl === manifestType && !this.#isCaughtUp ? ['*', fence] : ['*'];
  }

  heldVersions(typeUrl: string): ReadonlyMap<string, string> {
    const kind = kindOfTypeUrl(typeUrl);
    const held = new Map<string, string>();
    for (const set of this.#sets.values()) {
      if (kind === 'Manifest') {
        if (set.manifestVersion !== '') held.set(manifestName(set.scope), set.manifestVersion);
        continue;
      }
      for (const { kind: of, name, digest } of set.held()) {
        if (of === kind) held.set(discoveryName({ kind, scope: set.scope, name }), digest);
      }
    }
    return held;
  }

  async onResponse(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    const kind = kindOfTypeUrl(update.typeUrl);
    if (kind === undefined)
      return update.resources.map(({ name }) => ({ name, error: 'this relay does not know the type' }));
    return kind === 'Manifest' ? this.#close(update) : this.#stage(kind, update);
  }

  onConnection(state: 'connecting' | 'connected' | 'disconnected', detail: string): void {
    const { clock, logger } = this.#options;
    if (state === 'connected') this.#staleSinceMs = undefined;
    else this.#staleSinceMs ??= clock.monotonic();
    if (state === 'connected') logger.info('connected to the upstream', { detail });
    if (state === 'disconnected')
      logger.warn('not connected to the upstream; serving what was last received', { detail });
  }

  #restore(scopes: readonly CommittedScope[]): void {
    const operators = scopes.find(({ scope }) => scope === operatorScope)?.resources ?? [];
    const named = new Set(operators.flatMap(({ kind, name }) => (kind === 'Tenant' ? [name] : [])));
    for (const known of scopes) {
      const { scope, revision, resources, removalsConfirmed } = known;
      const { version } = projectManifest(makeSnapshot(scope, revision, resources), removalsConfirmed);
      const set = ReceivedSet.restored(known, version, this.#options.limits);
      this.#sets.set(scope, set);
      // It is out of sight: if it is back, that has to be told.
      if (scope !== operatorScope && !named.has(scope)) set.lose();
    }
  }

  #stage(kind: Kind, { resources, removed }: ResourceUpdate): readonly ResourceFault[] {
    const faults: ResourceFault[] = [];
    for (const received of resources) {
      const scope = parseDiscoveryName(received.name)?.scope;
      const set = scope === undefined ? undefined : this.#open(scope);
      const error = set ? set.put(received, kind) : this.#noRoom(scope);
      if (error !== undefined) faults.push({ name: received.name, error });
    }
    for (const gone of removed) {
      const id = parseDiscoveryName(gone);
      if (id?.kind === kind) this.#sets.get(id.scope)?.remove(kind, id.name);
    }
    return faults;
  }

  #close({ resources, removed }: ResourceUpdate): readonly ResourceFault[] {
    const { clock, logger } = this.#options;
    const faults: ResourceFault[] = [];
    const revisions: CommittedRevision[] = [];
    for (const received of resources) {
      const outcome = this.#closeOne(received, clock.now());
      if (typeof outcome !== 'string') revisions.push(...(outcome ? [outcome] : []));
      else {
        this.#refused.add();
        logger.error('a revision is not passed on; what was served before is served on', {
          name: received.name,
          reason: outcome,
        });
        faults.push({ name: received.name, error: outcome });
      }
    }
    for (const name of removed) {
      const set = this.#sets.get(parseDiscoveryName(name)?.scope ?? '');
      if (name !== fence && set?.isEmpty) set.withdrawn();
    }
    if (revisions.length > 0) this.#listener?.committed(revisions);
    this.#isAllSent ||= removed.includes(fence);
    if (this.#isAllSent && !this.#isCaughtUp) this.#reachedEnd();
    return faults;
  }

  #closeOne(received: ReceivedResource, nowMs: number): CommittedRevision | string | undefined {
    const id = parseDiscoveryName(received.name);
    if (id?.kind !== 'Manifest' || id.name !== 'current') return 'the name is not that of a manifest';
    const announced = readManifest(received, id.scope);
    if (typeof announced === 'string') return announced;
    const set = this.#open(id.scope);
    return set ? set.close(announced, nowMs) : this.#noRoom(id.scope);
  }

  #reachedEnd(): void {
    // An empty answer is no configuration: the upstream has one before it lets anybody in.
    if (!this.#sets.get(operatorScope)?.committed) {
      return this.#options.logger.error('the upstream has sent no operator’s set; waiting for it');
    }
    this.#isCaughtUp = true;
    this.#options.resubscribe([{ typeUrl: manifestType, subscribe: [], unsubscribe: [fence] }]);
    this.#caughtUp.resolve();
  }

  #open(scope: string): ReceivedSet | undefined {
    const known = this.#sets.get(scope);
    if (known || this.#sets.size >= this.#options.limits.scopes) return known;
    const set = new ReceivedSet(scope, this.#options.limits);
    this.#sets.set(scope, set);
    return set;
  }

  #noRoom(scope: string | undefined): string {
    return scope === undefined
      ? 'the name is none of a resource'
      : `this relay holds at most ${this.#options.limits.scopes} scopes`;
  }
}

function readManifest(received: ReceivedResource, of: string): Announced | string {
  if (digestOf(received.body) !== received.version)
    return 'the content does not have the digest that its version names';
  const { scope, revision, hash, removalsConfirmed } = fromBinary(ManifestSchema, received.body);
  if (scope !== of) return `the manifest is about scope ${scope}`;
  return { revision, hash, removalsConfirmed, version: received.version };
}

function manifestName(scope: string): string {
  return discoveryName({ kind: 'Manifest', scope, name: 'current' });
}
