import type { RoutingTable } from '@signalbox/config';
import type { Clock, Gauge, HostPort, Logger, Metrics } from '@signalbox/runtime';
import type { Server } from 'node:net';
import type { GivenListener, HttpServer, JudgeHost } from './http/http-server.ts';
import { judgeListenerHost, type ListenerHosts, mergeListenerHosts } from './listener-hosts.ts';

export interface ListenersOptions {
  /** The gateway whose listeners are opened. */
  readonly gateway: string;
  /** Address to bind the listeners' ports on. */
  readonly address: string;
  /** One address instead of all listeners of the gateway; it answers to the names of all of them. */
  readonly replacement: HostPort | undefined;
  readonly createServer: (judgeHost: JudgeHost) => HttpServer;
  /** Other processes listen on the same addresses; absent: none does. */
  readonly sharing?: SocketSource | undefined;
  /** How long exchanges of a removed listener may go on, in milliseconds. */
  readonly drainMs: number;
  /** How long to wait before a port that could not be opened is tried again, in milliseconds. */
  readonly retryMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Where listening sockets come from that other processes have opened. */
export interface SocketSource {
  /** @param address `host:port`. @returns undefined: there is none, and this process opens its own. */
  take(address: string): Promise<GivenListener | undefined>;
}

export interface OpenListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface FailedListener {
  readonly name: string;
  /** `host:port` that could not be opened. */
  readonly address: string;
  readonly error: string;
}

/** A socket that the present table asks for. */
interface Wanted {
  readonly name: string;
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  readonly hosts: ListenerHosts;
}

interface Bound {
  readonly server: HttpServer;
  wanted: Wanted;
  /** The port in use. */
  readonly port: number;
}

/**
 * Keeps the listening sockets as the present table has them: opens new ones, drains removed ones, leaves all others
 * alone. A port that cannot be opened is reported and tried again; the others serve.
 */
export class Listeners {
  readonly #options: ListenersOptions;
  /** By `host:port` as wanted. */
  readonly #bound = new Map<string, Bound>();
  readonly #failed = new Map<string, FailedListener>();
  readonly #removed = new Set<Promise<void>>();
  /** No longer listening, but not yet done. */
  readonly #closing = new Set<HttpServer>();
  readonly #openGauge: Gauge;
  readonly #failedGauge: Gauge;
  #wanted = new Map<string, Wanted>();
  #work: Promise<void> | undefined;
  #retry: Disposable | undefined;
  #draining = false;

  constructor(options: ListenersOptions) {
    this.#options = options;
    this.#openGauge = options.metrics.gauge('signalbox_proxy_listeners_open', 'Listening sockets.');
    this.#failedGauge = options.metrics.gauge(
      'signalbox_proxy_listeners_failed',
      'Listeners whose port could not be opened.',
    );
  }

  get open(): readonly OpenListener[] {
    return [...this.#bound.values()].map(({ wanted: { name, host }, port }) => ({ name, host, port }));
  }

  get failed(): readonly FailedListener[] {
    return [...this.#failed.values()];
  }

  /** Exchanges in flight, on removed and closing listeners, too. */
  get inFlight(): number {
    const servers = [...this.#closing, ...[...this.#bound.values()].map(({ server }) => server)];
    return servers.reduce((sum, server) => sum + server.inFlight, 0);
  }

  /** A table became the present one. Names and origins apply at once, sockets follow. */
  reconcile(table: RoutingTable): void {
    if (this.#draining) return;
    this.#wanted = wantedBy(table, this.#options);
    for (const [key, wanted] of this.#wanted) {
      const bound = this.#bound.get(key);
      if (bound) bound.wanted = wanted;
    }
    this.#apply();
  }

  /** Resolves when all sockets that are wanted are open or have failed. */
  async settled(): Promise<void> {
    while (this.#work) await this.#work;
  }

  /** From now on every answer closes its connection; the sockets still accept. */
  drain(): void {
    this.#draining = true;
    this.#retry?.[Symbol.dispose]();
    for (const { server } of this.#bound.values()) server.drain();
  }

  /**
   * Gives the listening sockets to another process, and accepts nothing more: connections that come go to those who have
   * them. Answers end their connections from now on.
   */
  async handOver(give: (address: string, socket: Server) => Promise<void>): Promise<void> {
    this.drain();
    await this.settled();
    for (const [key, { server }] of this.#bound) await give(key, server.socket);
    this.stopListening();
  }

  /** Accepts nothing more; what was accepted is served as before. */
  stopListening(): void {
    for (const { server } of this.#bound.values()) server.stopListening();
  }

  /** Stops listening and waits for the exchanges in flight, at most until the signal. */
  async close(deadline: AbortSignal): Promise<void> {
    this.drain();
    await this.settled();
    const closing = [...this.#bound.values()].map(({ server }) => this.#close(server, deadline));
    this.#bound.clear();
    await Promise.all([...closing, ...this.#removed]);
  }

  async #close(server: HttpServer, deadline: AbortSignal): Promise<void> {
    this.#closing.add(server);
    try {
      await server.close(deadline);
    } finally {
      this.#closing.delete(server);
    }
  }

  #apply(): void {
    this.#work ??= this.#applyAll();
  }

  /** Ends in one go, without a wait: what is wanted afterwards starts it again. */
  async #applyAll(): Promise<void> {
    await Promise.resolve();
    for (let key = this.#nextToOpen(); key !== undefined; key = this.#nextToOpen()) await this.#open(key);
    for (const key of this.#failed.keys()) if (!this.#wanted.has(key)) this.#failed.delete(key);
    for (const [key, bound] of this.#bound) if (!this.#wanted.has(key)) this.#remove(key, bound);
    this.#openGauge.set(this.#bound.size);
    this.#failedGauge.set(this.#failed.size);
    this.#scheduleRetry();
    this.#work = undefined;
  }

  #scheduleRetry(): void {
    this.#retry?.[Symbol.dispose]();
    if (this.#failed.size === 0 || this.#draining) return;
    this.#retry = this.#options.clock.timer(this.#options.retryMs, () => this.#tryAgain());
  }

  #tryAgain(): void {
    this.#failed.clear();
    this.#apply();
  }

  #nextToOpen(): string | undefined {
    return [...this.#wanted.keys()].find((key) => !this.#bound.has(key) && !this.#failed.has(key) && !this.#draining);
  }

  async #open(key: string): Promise<void> {
    const { logger, createServer } = this.#options;
    const wanted = this.#wanted.get(key) as Wanted;
    const server = createServer((head) => judgeListenerHost((this.#bound.get(key)?.wanted ?? wanted).hosts, head));
    try {
      const { port } = await this.#listen(server, wanted, key);
      this.#bound.set(key, { server, wanted: this.#wanted.get(key) ?? wanted, port });
      logger.info('listening', { listener: wanted.name, host: wanted.host, port });
      if (this.#draining) server.drain();
    } catch (error) {
      this.#failed.set(key, { name: wanted.name, address: key, error: String(error) });
      logger.error('a listener could not be opened', { listener: wanted.name, address: key, error: String(error) });
    }
  }

  async #listen(server: HttpServer, { host, port }: Wanted, key: string): Promise<{ readonly port: number }> {
    const { sharing } = this.#options;
    const given = await sharing?.take(key);
    return given ? server.adopt(given) : server.listen(host, port, sharing !== undefined);
  }

  #remove(key: string, bound: Bound): void {
    const { clock, drainMs, logger } = this.#options;
    this.#bound.delete(key);
    logger.info('listener removed', { listener: bound.wanted.name, port: bound.port });
    const deadline = new AbortController();
    const timer = clock.timer(drainMs, () => deadline.abort(new Error('drain deadline passed')));
    const closed = this.#close(bound.server, deadline.signal)
      .catch((error: unknown) => logger.error('a removed listener could not be closed', { error: String(error) }))
      .finally(() => {
        timer[Symbol.dispose]();
        this.#removed.delete(closed);
      });
    this.#removed.add(closed);
  }
}

function wantedBy(
  table: RoutingTable,
  options: Pick<ListenersOptions, 'gateway' | 'address' | 'replacement'>,
): Map<string, Wanted> {
  const listeners = table.operator?.gateways.get(options.gateway)?.listeners ?? [];
  const { replacement } = options;
  if (listeners.length === 0) return new Map();
  if (replacement) {
    const name = listeners.map((listener) => listener.name).join(',');
    return keyed([{ name, ...replacement, hosts: mergeListenerHosts(listeners) }]);
  }
  return keyed(
    listeners.map((listener) => ({ name: listener.name, host: options.address, port: listener.port, hosts: listener })),
  );
}

function keyed(wanted: readonly Wanted[]): Map<string, Wanted> {
  return new Map(wanted.map((each) => [`${each.host}:${each.port}`, each]));
}
