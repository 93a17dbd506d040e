import type { Clock, Counter, Histogram, Logger, Metrics } from '@signalbox/runtime';

/** What became of a tenant that a request has asked for; anything but `loaded` says why it is not served. */
export type DemandOutcome = 'loaded' | 'absent' | 'refused' | 'late' | 'busy';

export interface TenantDemandLimits {
  /** Tenants that are held or being loaded at a time. */
  readonly tenants: number;
  /** Requests that wait at a time. */
  readonly waiting: number;
  /** How long a request waits, in milliseconds. */
  readonly waitMs: number;
  /** How long a tenant without requests and streams is kept, in milliseconds. */
  readonly idleMs: number;
  /** How long a tenant that could not be had is not asked for again, in milliseconds. */
  readonly retryMs: number;
}

export interface TenantDemandOptions {
  readonly limits: TenantDemandLimits;
  readonly clock: Pick<Clock, 'monotonic' | 'timer' | 'interval'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Whoever subscribes to tenants. */
export interface TenantSubscriber {
  /** From now on these tenants are wanted, and those no more. */
  onDemand(wanted: readonly string[], unwanted: readonly string[]): void;
}

interface Waiting {
  readonly resolve: (outcome: DemandOutcome) => void;
  readonly deadline: Disposable;
}

/** A tenant that is subscribed. */
interface Wanted {
  isLoaded: boolean;
  /** It was asked for a second time, because what came was not whole. */
  isRepeated: boolean;
  readonly askedAtMs: number;
  /** Requests and streams that run. */
  uses: number;
  /** When the last of them began or ended. */
  usedAtMs: number;
  readonly waiting: Set<Waiting>;
}

interface Unavailable {
  readonly why: DemandOutcome;
  readonly untilMs: number;
}

/**
 * Which tenants a node holds that loads them when they are asked for.
 *
 * 1. A tenant is subscribed at its first request, once however many requests wait for it. Each waits for a bounded time.
 * 2. One that could not be had is answered for from memory for a while. Only names of the operator's set are asked for, so
 *    that their number bounds that memory.
 * 3. One that nothing uses for a while is given up. Requests that run and streams that are open are uses.
 * 4. When there are too many, the one that was not used for longest makes room; when all are in use, nobody does.
 */
export class TenantDemand {
  readonly #options: TenantDemandOptions;
  readonly #wanted = new Map<string, Wanted>();
  readonly #unavailable = new Map<string, Unavailable>();
  readonly #outcomes: Readonly<Record<DemandOutcome, Counter>>;
  readonly #dropped: Readonly<Record<'idle' | 'replaced' | 'gone', Counter>>;
  readonly #loading: Histogram;
  readonly #sweeping: Disposable;
  #subscriber: TenantSubscriber | undefined;
  #waiting = 0;

  constructor(options: TenantDemandOptions) {
    const { clock, limits, metrics } = options;
    this.#options = options;
    const outcome = (name: DemandOutcome) =>
      metrics.counter('signalbox_proxy_tenant_loads_total', 'Requests that had to wait for their tenant, by outcome.', {
        outcome: name,
      });
    this.#outcomes = {
      loaded: outcome('loaded'),
      absent: outcome('absent'),
      refused: outcome('refused'),
      late: outcome('late'),
      busy: outcome('busy'),
    };
    const dropped = (reason: string) =>
      metrics.counter('signalbox_proxy_tenants_dropped_total', 'Tenants that were given up, by reason.', { reason });
    this.#dropped = { idle: dropped('idle'), replaced: dropped('replaced'), gone: dropped('gone') };
    this.#loading = metrics.histogram(
      'signalbox_proxy_tenant_load_seconds',
      'From the first request for a tenant to the moment at which it is served.',
    );
    const held = metrics.gauge('signalbox_proxy_tenants_held', 'Tenants that are held because they were asked for.');
    metrics.onCollect(() => held.set(this.#wanted.size));
    this.#sweeping = clock.interval(Math.max(100, limits.idleMs / 10), () => this.#sweep());
  }

  /** Names whoever subscribes. Call before anything is wanted. */
  connect(subscriber: TenantSubscriber): void {
    this.#subscriber = subscriber;
  }

  /** Tenants to be subscribed to. */
  wanted(): Iterable<string> {
    return this.#wanted.keys();
  }

  wants(tenant: string): boolean {
    return this.#wanted.has(tenant);
  }

  /** A request asks for a tenant that is not served. Resolves when it is, or when it is clear that it will not be soon. */
  async want(tenant: string): Promise<DemandOutcome> {
    const outcome = await this.#want(tenant);
    this.#outcomes[outcome].add();
    return outcome;
  }

  /** A request or stream of a tenant begins. One that is just being given up is wanted again. */
  use(tenant: string): void {
    if (!this.#wanted.has(tenant)) {
      this.#add(tenant);
      this.#subscriber?.onDemand([tenant], []);
    }
    this.#count(tenant, 1);
  }

  /** It has ended. */
  release(tenant: string): void {
    this.#count(tenant, -1);
  }

  /** These tenants are served without having been asked for: they were, before a restart. */
  restored(tenants: Iterable<string>): void {
    for (const tenant of tenants) this.#add(tenant).isLoaded = true;
  }

  /** The tenant is served. */
  arrived(tenant: string): void {
    const wanted = this.#wanted.get(tenant);
    if (!wanted) return;
    if (!wanted.isLoaded) this.#loading.observe((this.#now() - wanted.askedAtMs) / 1_000);
    wanted.isLoaded = true;
    wanted.usedAtMs = this.#now();
    this.#unavailable.delete(tenant);
    this.#answer(wanted, 'loaded');
  }

  /** The tenant cannot be served, unless an older set of it is. */
  failed(tenant: string, why: 'absent' | 'refused'): void {
    const wanted = this.#wanted.get(tenant);
    if (!wanted || wanted.isLoaded) return;
    this.#giveUp(tenant, why);
    this.#subscriber?.onDemand([], [tenant]);
  }

  /** What came is not whole: it may belong to an earlier subscription. @returns whether it is asked for once more. */
  repeat(tenant: string): boolean {
    const wanted = this.#wanted.get(tenant);
    if (!wanted || wanted.isLoaded || wanted.isRepeated) return false;
    wanted.isRepeated = true;
    this.#subscriber?.onDemand([tenant], []);
    return true;
  }

  /** The tenant exists no more, or not for this node. */
  gone(tenant: string): void {
    if (!this.#wanted.has(tenant)) return;
    this.#giveUp(tenant, 'absent');
    this.#dropped.gone.add();
    this.#subscriber?.onDemand([], [tenant]);
  }

  stop(): void {
    this.#sweeping[Symbol.dispose]();
    for (const wanted of this.#wanted.values()) this.#answer(wanted, 'late');
  }

  #want(tenant: string): Promise<DemandOutcome> | DemandOutcome {
    const known = this.#wanted.get(tenant);
    if (known?.isLoaded) return 'loaded';
    const unavailable = this.#unavailable.get(tenant);
    if (unavailable && unavailable.untilMs > this.#now()) return unavailable.why;
    this.#unavailable.delete(tenant);
    if (this.#waiting >= this.#options.limits.waiting) return 'busy';
    if (!known && !this.#makeRoom()) return 'busy';
    const wanted = known ?? this.#add(tenant);
    const answer = this.#wait(tenant, wanted);
    if (!known) this.#subscriber?.onDemand([tenant], []);
    return answer;
  }

  #wait(tenant: string, wanted: Wanted): Promise<DemandOutcome> {
    const { clock, limits } = this.#options;
    this.#waiting += 1;
    return new Promise((resolve) => {
      const waiting: Waiting = { resolve, deadline: clock.timer(limits.waitMs, () => this.#late(tenant, waiting)) };
      wanted.waiting.add(waiting);
    });
  }

  /** It stays subscribed: what arrives later is there for the next request. */
  #late(tenant: string, waiting: Waiting): void {
    const wanted = this.#wanted.get(tenant);
    if (!wanted?.waiting.delete(waiting)) return;
    this.#waiting -= 1;
    this.#remember(tenant, 'late');
    this.#options.logger.warn('a tenant that was asked for has not arrived in time', { tenant });
    waiting.resolve('late');
  }

  #answer(wanted: Wanted, outcome: DemandOutcome): void {
    for (const { resolve, deadline } of wanted.waiting) {
      deadline[Symbol.dispose]();
      this.#waiting -= 1;
      resolve(outcome);
    }
    wanted.waiting.clear();
  }

  #add(tenant: string): Wanted {
    const nowMs = this.#now();
    const wanted: Wanted = {
      ...{ isLoaded: false, isRepeated: false, askedAtMs: nowMs, uses: 0, usedAtMs: nowMs },
      waiting: new Set(),
    };
    this.#wanted.set(tenant, wanted);
    return wanted;
  }

  #giveUp(tenant: string, why: DemandOutcome): void {
    const wanted = this.#wanted.get(tenant);
    this.#wanted.delete(tenant);
    this.#remember(tenant, why);
    if (wanted) this.#answer(wanted, why);
  }

  #remember(tenant: string, why: DemandOutcome): void {
    const { limits } = this.#options;
    this.#unavailable.delete(tenant);
    this.#unavailable.set(tenant, { why, untilMs: this.#now() + limits.retryMs });
    const [oldest] = this.#unavailable.keys();
    if (this.#unavailable.size > limits.tenants && oldest !== undefined) this.#unavailable.delete(oldest);
  }

  #count(tenant: string, change: 1 | -1): void {
    const wanted = this.#wanted.get(tenant);
    if (!wanted) return;
    wanted.uses = Math.max(0, wanted.uses + change);
    wanted.usedAtMs = this.#now();
  }

  /** @returns whether one more tenant may be held. */
  #makeRoom(): boolean {
    const { limits } = this.#options;
    if (this.#wanted.size < limits.tenants) return true;
    let oldest: readonly [string, Wanted] | undefined;
    for (const entry of this.#wanted) {
      const [, wanted] = entry;
      // What has just been loaded for a request must be there when the request goes on.
      if (!this.#isIdle(wanted, limits.waitMs)) continue;
      if (!oldest || wanted.usedAtMs < oldest[1].usedAtMs) oldest = entry;
    }
    if (oldest) this.#drop([oldest[0]], 'replaced');
    return oldest !== undefined;
  }

  #isIdle({ uses, waiting, usedAtMs }: Wanted, idleMs: number): boolean {
    return uses === 0 && waiting.size === 0 && this.#now() - usedAtMs >= idleMs;
  }

  #sweep(): void {
    const { idleMs } = this.#options.limits;
    const idle = [...this.#wanted].filter(([, wanted]) => this.#isIdle(wanted, idleMs)).map(([tenant]) => tenant);
    if (idle.length > 0) this.#drop(idle, 'idle');
    const nowMs = this.#now();
    for (const [tenant, { untilMs }] of this.#unavailable) if (untilMs <= nowMs) this.#unavailable.delete(tenant);
  }

  #drop(tenants: readonly string[], reason: 'idle' | 'replaced'): void {
    for (const tenant of tenants) this.#wanted.delete(tenant);
    this.#dropped[reason].add(tenants.length);
    this.#subscriber?.onDemand([], tenants);
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }
}
