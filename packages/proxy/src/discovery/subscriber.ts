import { fromBinary } from '@bufbuild/protobuf';
import {
  discoveryName,
  digestOf,
  type Kind,
  kindOfTypeUrl,
  massRemoval,
  operatorScope,
  parseDiscoveryName,
  type RemovalLimits,
  type Snapshot,
  snapshotOfSteps,
} from '@signalbox/config';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import type { Clock, Counter, Gauge, Logger, Metrics } from '@signalbox/runtime';
import type {
  ClientHandler,
  ReceivedResource,
  ResourceFault,
  ResourceUpdate,
  SubscriptionChange,
} from '@signalbox/xds';
import type { TimeSlice } from '../table/time-slice.ts';
import type { Activation, Outcome } from './activation.ts';
import { absentTenants, demandChanges, demandedNames } from './demanded-names.ts';
import type { LastGood } from './last-good.ts';
import type { LastGoodSet } from './last-good-format.ts';
import { errorsOf, faultsByResource, manifestName, wholeFault } from './refusal.ts';
import { type Announcement, type StagedScope, Staging, type StagingLimits } from './staging.ts';
import type { TenantDemand, TenantSubscriber } from './tenant-demand.ts';
import { keptTenants } from './withdrawal.ts';

export interface SubscriberOptions {
  readonly activation: Activation;
  readonly lastGood: Pick<LastGood, 'save' | 'forget'>;
  readonly limits: StagingLimits;
  /** When a set loses so much that its Manifest has to say that this is meant. */
  readonly removals: RemovalLimits;
  /** Which tenants are asked for; absent: all that the control plane gives. */
  readonly demand?: TenantDemand | undefined;
  /** Asks for other names than before on the present stream. Needed for `demand` only. */
  readonly resubscribe?: (changes: readonly SubscriptionChange[]) => void;
  readonly slice: TimeSlice;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Tenants that one log line names. */
const loggedTenants = 20;

/**
 * The node's end of discovery: collect → complete? → compile → swap → acknowledge, or refuse and keep serving.
 *
 * 1. Data is staged as it arrives and acknowledged as received. Nothing of it is served.
 * 2. A Manifest names the hash of its scope's whole set. Only a staged set with that hash is compiled and served, so
 *    that a revision is active whole or not at all.
 * 3. All scopes of one Manifest response are swapped in together. A scope that is refused keeps what it served.
 * 4. A revision older than the one that is served is not served, whoever sends it; equal content is accepted.
 * 5. A scope goes only when its Manifest and every one of its resources were removed by name, or when the operator's
 *    set no longer names the tenant. An answer with nothing in it takes nothing away.
 * 6. A set that lost more than half of its resources is served only if its Manifest says that this is meant, and tenants
 *    that the operator's set names are not given up in such numbers at all.
 * 7. Where tenants are asked for one by one, what arrives of others is not taken: it was on its way when they were given up.
 */
export class Subscriber implements ClientHandler, TenantSubscriber {
  readonly #options: SubscriberOptions;
  readonly #staging: Staging;
  readonly #meters: Meters;
  #turn: Promise<unknown> = Promise.resolve();
  /** Since when the control plane is out of reach; undefined while connected. */
  #staleSince: number | undefined;

  constructor(options: SubscriberOptions) {
    const { clock, limits, metrics } = options;
    this.#options = options;
    this.#staging = new Staging(limits);
    this.#meters = metersOf(metrics);
    this.#staleSince = clock.monotonic();
    options.demand?.connect(this);
    metrics.onCollect(() => {
      this.#meters.connected.set(this.#staleSince === undefined ? 1 : 0);
      this.#meters.staleness.set((clock.monotonic() - (this.#staleSince ?? clock.monotonic())) / 1_000);
    });
  }

  /** Serves the sets that were served before the process ended. Call before anything else. */
  async restore(sets: readonly LastGoodSet[]): Promise<void> {
    const { activation, demand, logger } = this.#options;
    for (const { snapshot } of sets) this.#staging.restore(snapshot);
    demand?.restored(sets.map(({ snapshot }) => snapshot.scope).filter((scope) => scope !== operatorScope));
    const outcome = await activation.apply({
      sets: new Map(sets.map(({ snapshot }) => [snapshot.scope, snapshot])),
      dropped: new Set(),
    });
    for (const { snapshot, manifestVersion } of sets) {
      const staged = this.#staging.get(snapshot.scope);
      if (staged && activation.active(snapshot.scope) === snapshot) staged.servedVersion = manifestVersion;
    }
    for (const [scope, problems] of outcome.refused) {
      logger.error('a last good set is no longer accepted', { scope, problems: errorsOf(problems) });
    }
  }

  subscriptions(typeUrl: string): readonly string[] {
    const { demand } = this.#options;
    return demand ? demandedNames(typeUrl, demand.wanted()) : ['*'];
  }

  onDemand(wanted: readonly string[], unwanted: readonly string[]): void {
    this.#options.resubscribe?.(demandChanges(wanted, unwanted));
    if (unwanted.length > 0) this.#turn = this.#turn.then(() => this.#giveUp(unwanted));
  }

  heldVersions(typeUrl: string): ReadonlyMap<string, string> {
    const kind = kindOfTypeUrl(typeUrl);
    const held = new Map<string, string>();
    for (const [scope, staged] of this.#staging.scopes()) {
      if (kind === 'Manifest') {
        if (staged.servedVersion !== '') held.set(manifestName(scope), staged.servedVersion);
        continue;
      }
      for (const resource of staged.resources.values()) {
        if (resource.kind === kind) held.set(discoveryName({ kind, scope, name: resource.name }), resource.digest);
      }
    }
    return held;
  }

  /** Takes responses one at a time, also when a new stream begins while one of the old stream is still worked on. */
  onResponse(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    const answer = this.#turn.then(() => this.#take(this.#wantedOf(update)));
    this.#turn = answer;
    return answer;
  }

  onConnection(state: 'connecting' | 'connected' | 'disconnected', detail: string): void {
    if (state === 'connected') this.#staleSince = undefined;
    else this.#staleSince ??= this.#options.clock.monotonic();
    if (state === 'connected') this.#options.logger.info('connected to the control plane', { detail });
    if (state === 'disconnected') {
      this.#options.logger.warn('not connected to the control plane; serving what was last received', { detail });
    }
  }

  #wantedOf(update: ResourceUpdate): ResourceUpdate {
    const { demand } = this.#options;
    if (!demand) return update;
    const isWanted = (name: string) => {
      const scope = parseDiscoveryName(name)?.scope;
      return scope === undefined || scope === operatorScope || demand.wants(scope);
    };
    const resources = update.resources.filter(({ name }) => isWanted(name));
    return { ...update, resources, removed: update.removed.filter(isWanted) };
  }

  /** Serves tenants no longer that nobody asks for, unless somebody does again. */
  async #giveUp(tenants: readonly string[]): Promise<void> {
    const { activation, demand, logger } = this.#options;
    const gone = tenants.filter((tenant) => !demand?.wants(tenant));
    for (const tenant of gone) this.#staging.close(tenant);
    const dropped = new Set(gone.filter((tenant) => activation.active(tenant)));
    if (dropped.size === 0) return;
    try {
      this.#settle(await activation.apply({ sets: new Map(), dropped }));
    } catch (error) {
      logger.error('tenants that nobody asks for could not be given up', { error: String(error) });
    }
  }

  async #take(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    this.#options.slice.begin();
    try {
      const kind = kindOfTypeUrl(update.typeUrl);
      if (kind === undefined)
        return update.resources.map(({ name }) => ({ name, error: 'this node does not know the type' }));
      return kind === 'Manifest' ? await this.#takeManifests(update) : await this.#stage(kind, update);
    } catch (error) {
      this.#options.logger.error('a discovery response could not be processed', { error: String(error) });
      return update.resources.map(({ name }) => ({ name, error: 'internal error of the node; see its log' }));
    }
  }

  async #stage(kind: Kind, update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    const { slice } = this.#options;
    const faults: ResourceFault[] = [];
    for (const resource of update.resources) {
      const error = this.#staging.put(resource, kind);
      if (error !== undefined) faults.push({ name: resource.name, error });
      if (slice.spent) await slice.pause();
    }
    for (const name of update.removed) {
      this.#staging.remove(name, kind);
      if (slice.spent) await slice.pause();
    }
    return faults;
  }

  async #takeManifests(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    const { demand } = this.#options;
    const faults: ResourceFault[] = [];
    const announced = this.#announce(update.resources, faults);
    const sets = new Map<string, Snapshot>();
    for (const scope of this.#candidates(announced)) {
      const verdict = await this.#complete(scope);
      if (verdict && 'set' in verdict) sets.set(scope, verdict.set);
      else if (verdict && announced.has(scope)) faults.push({ name: manifestName(scope), error: verdict.fault });
      else if (!verdict) demand?.arrived(scope);
      if (verdict && 'fault' in verdict) this.#incomplete(scope);
    }
    const dropped = this.#withdraw(update.removed, sets.get(operatorScope), faults);
    for (const tenant of absentTenants(update.removed)) demand?.failed(tenant, 'absent');
    if (sets.size === 0 && dropped.size === 0) return faults;
    const outcome = await this.#options.activation.apply({ sets, dropped });
    this.#settle(outcome);
    const details: ResourceFault[] = [];
    for (const [scope, problems] of outcome.refused) {
      this.#meters.refused.add();
      demand?.failed(scope, 'refused');
      this.#options.logger.warn('a revision was refused; the scope keeps what it served', {
        scope,
        revision: String(sets.get(scope)?.revision),
        problems: errorsOf(problems),
      });
      if (announced.has(scope)) {
        faults.push(wholeFault(scope, problems));
        details.push(...faultsByResource(scope, problems));
      }
    }
    return [...faults, ...details];
  }

  /** What was staged of a tenant is not what was announced: where tenants are asked for, it is asked for once more. */
  #incomplete(scope: string): void {
    const { demand } = this.#options;
    if (demand?.repeat(scope)) this.#staging.close(scope);
    else demand?.failed(scope, 'refused');
  }

  /** Notes what the Manifests say. @returns their scopes. */
  #announce(resources: readonly ReceivedResource[], faults: ResourceFault[]): ReadonlySet<string> {
    const scopes = new Set<string>();
    for (const received of resources) {
      const read = readManifest(received);
      const staged = 'scope' in read ? this.#staging.open(read.scope) : undefined;
      if ('error' in read) faults.push({ name: received.name, error: read.error });
      else if (!staged)
        faults.push({ name: received.name, error: `this node holds at most ${this.#options.limits.scopes} scopes` });
      else {
        staged.announced = read.announcement;
        scopes.add(read.scope);
      }
    }
    return scopes;
  }

  /**
   * Scopes whose staged set may be served now, the operator's first. With a new set of the operator, that is also every
   * scope that was refused before: its reason may be gone.
   */
  #candidates(announced: ReadonlySet<string>): readonly string[] {
    if (!announced.has(operatorScope)) return [...announced];
    const others = [...this.#staging.scopes()]
      .filter(
        ([scope, { announced: newest, servedVersion }]) =>
          scope !== operatorScope && newest && newest.version !== servedVersion,
      )
      .map(([scope]) => scope);
    return [operatorScope, ...others];
  }

  /** The scope's staged set, if it is what the Manifest announced; undefined when exactly that is served already. */
  async #complete(scope: string): Promise<{ set: Snapshot } | { fault: string } | undefined> {
    const staged = this.#staging.get(scope) as StagedScope;
    const { revision, hash, version, resourceCount, removalsConfirmed } = staged.announced as Announcement;
    const active = this.#options.activation.active(scope);
    if (active && active.hash === hash && revision <= active.revision) {
      staged.servedVersion = version;
      return undefined;
    }
    if (active && revision < active.revision) {
      this.#meters.regressions.add();
      const detail = { scope, active: String(active.revision), received: String(revision) };
      this.#options.logger.error(
        'the control plane sent an older revision than the one that is served; it is ignored',
        detail,
      );
      return { fault: `revision ${revision} is older than revision ${active.revision}, which is served` };
    }
    const set = await this.#options.slice.run(snapshotOfSteps(scope, revision, staged.resources));
    if (set.hash !== hash) {
      return {
        fault: `the set does not match the manifest: ${set.resources.size} resources with hash ${set.hash}, announced are ${resourceCount} with ${hash}`,
      };
    }
    const meant = !active || removalsConfirmed > active.revision;
    const removal = meant ? undefined : massRemoval(active, set, this.#options.removals);
    if (!removal) return { set };
    const reason = `revision ${revision} lacks ${removal.removed} of the ${removal.of} resources of revision ${active?.revision}, and nothing says that this is meant`;
    this.#meters.removals.add();
    this.#options.logger.error('a removal that nobody confirmed is refused', { scope, reason });
    return { fault: `${reason}: restore them, or write a revision with confirm_removal` };
  }

  /** Takes note of removed Manifests. @returns tenants of which nothing is left. */
  #withdraw(
    removed: readonly string[],
    newOperator: Snapshot | undefined,
    faults: ResourceFault[],
  ): ReadonlySet<string> {
    const { activation, logger, removals } = this.#options;
    const withdrawn: string[] = [];
    for (const name of removed) {
      const scope = parseDiscoveryName(name)?.scope;
      const staged = scope === undefined ? undefined : this.#staging.get(scope);
      if (scope === undefined || !staged) continue;
      if (staged.resources.size > 0 || scope === operatorScope) {
        logger.warn('a manifest was removed but its set was not; the scope is still served', { scope });
        continue;
      }
      this.#staging.close(scope);
      withdrawn.push(scope);
    }
    if (withdrawn.length === 0) return new Set();
    const operator = newOperator ?? activation.active(operatorScope);
    const kept = keptTenants({
      ...{ withdrawn, operator, limits: removals },
      operatorInOrder: this.#operatorInOrder() && !removed.includes(manifestName(operatorScope)),
      served: activation.scopes().filter((scope) => scope !== operatorScope),
    });
    if (kept.size > 0) {
      this.#meters.removals.add(kept.size);
      logger.error('tenants were withdrawn that the operator’s set still names; they are served on', {
        tenants: [...kept].slice(0, loggedTenants),
        count: kept.size,
      });
    }
    const error = 'the operator’s set still names the tenant: it is served on';
    faults.push(...[...kept].map((scope) => ({ name: manifestName(scope), error })));
    return new Set(withdrawn.filter((scope) => !kept.has(scope)));
  }

  /** False while the control plane announces an older state of the operator than the one that is served. */
  #operatorInOrder(): boolean {
    const active = this.#options.activation.active(operatorScope);
    const announced = this.#staging.get(operatorScope)?.announced;
    return !active || !announced || announced.revision >= active.revision || announced.hash === active.hash;
  }

  /** Notes what is served now, here and on disk. */
  #settle(outcome: Outcome): void {
    const { lastGood, demand, logger } = this.#options;
    for (const snapshot of outcome.activated) {
      const staged = this.#staging.get(snapshot.scope);
      const manifestVersion = staged?.announced?.version ?? '';
      if (staged) staged.servedVersion = manifestVersion;
      lastGood.save({ snapshot, manifestVersion });
      demand?.arrived(snapshot.scope);
      this.#meters.activated.add();
      logger.info('revision active', { scope: snapshot.scope, revision: String(snapshot.revision) });
    }
    for (const scope of outcome.dropped) {
      const staged = this.#staging.get(scope);
      if (staged) staged.servedVersion = '';
      lastGood.forget(scope);
      demand?.gone(scope);
      logger.info('tenant no longer served', { scope });
    }
  }
}

function readManifest(
  received: ReceivedResource,
): { readonly scope: string; readonly announcement: Announcement } | { readonly error: string } {
  const id = parseDiscoveryName(received.name);
  if (id?.kind !== 'Manifest' || id.name !== 'current') return { error: 'the name is not that of a manifest' };
  if (digestOf(received.body) !== received.version)
    return { error: 'the content does not have the digest that its version names' };
  const { scope, revision, hash, resourceCount, removalsConfirmed } = fromBinary(ManifestSchema, received.body);
  if (scope !== id.scope) return { error: `the manifest is about scope ${scope}` };
  return { scope, announcement: { revision, hash, resourceCount, removalsConfirmed, version: received.version } };
}

interface Meters {
  readonly connected: Gauge;
  readonly staleness: Gauge;
  readonly activated: Counter;
  readonly refused: Counter;
  readonly regressions: Counter;
  readonly removals: Counter;
}

function metersOf(metrics: Metrics): Meters {
  return {
    connected: metrics.gauge('signalbox_proxy_discovery_connected', '1 while the discovery stream is up.'),
    staleness: metrics.gauge(
      'signalbox_proxy_config_staleness_seconds',
      'How long the control plane has been out of reach; 0 while connected.',
    ),
    activated: metrics.counter('signalbox_proxy_revisions_activated_total', 'Revisions that became active.'),
    refused: metrics.counter('signalbox_proxy_revisions_refused_total', 'Revisions that were refused whole.'),
    regressions: metrics.counter(
      'signalbox_proxy_config_regression_total',
      'Older revisions that a control plane sent and that were ignored.',
    ),
    removals: metrics.counter(
      'signalbox_proxy_removals_refused_total',
      'Sets and tenants that are served on because nobody confirmed their removal.',
    ),
  };
}
