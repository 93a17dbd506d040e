import { Server } from 'node:net';
import type { ListenerEntry, RoutingTable } from '@signalbox/config';
import { type HostPort, Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import type { GivenListener, HttpServer, JudgeHost } from './http/http-server.ts';
import { Listeners, type SocketSource } from './listeners.ts';

/** A machine with ports, some of them taken by others. */
class Ports {
  readonly taken = new Set<number>();
  readonly servers = new Map<number, ServerOnPort>();
  readonly steps: string[] = [];

  readonly createServer = (judgeHost: JudgeHost): HttpServer => new ServerOnPort(this, judgeHost);
}

class ServerOnPort implements HttpServer {
  readonly connections = 0;
  inFlight = 0;
  readonly socket = new Server();
  readonly judgeHost: JudgeHost;
  readonly #ports: Ports;
  #port = 0;

  constructor(ports: Ports, judgeHost: JudgeHost) {
    this.#ports = ports;
    this.judgeHost = judgeHost;
  }

  adopt(): Promise<{ readonly port: number }> {
    this.#port = 8080;
    this.#ports.steps.push('adopt 8080');
    return Promise.resolve({ port: 8080 });
  }

  stopListening(): void {
    this.#ports.steps.push(`accept no more ${this.#port}`);
  }

  async listen(_host: string, port: number, shared = false): Promise<{ readonly port: number }> {
    await Promise.resolve();
    if (shared) this.#ports.steps.push(`share ${port}`);
    if (this.#ports.taken.has(port)) throw new Error(`listen EADDRINUSE ${port}`);
    this.#port = port === 0 ? 40_000 : port;
    this.#ports.servers.set(this.#port, this);
    this.#ports.steps.push(`open ${this.#port}`);
    return { port: this.#port };
  }

  drain(): void {
    this.#ports.steps.push(`drain ${this.#port}`);
  }

  async close(deadline: AbortSignal): Promise<void> {
    this.#ports.steps.push(`close ${this.#port}`);
    this.#ports.servers.delete(this.#port);
    if (this.inFlight > 0) await new Promise((resolve) => deadline.addEventListener('abort', resolve));
    this.#ports.steps.push(`closed ${this.#port}`);
  }
}

function listener(name: string, port: number, hostnames: readonly string[] = ['localhost']): ListenerEntry {
  return { name, port, hostnames: new Set(hostnames), allowedOrigins: null };
}

function tableWith(...listeners: readonly ListenerEntry[]): RoutingTable {
  const gateways = new Map([['default', { name: 'default', listeners, dataPlanes: new Set(['native'] as const) }]]);
  const operator = { revision: 1n, hash: '', gateways, tenants: new Map(), ownerOf: () => undefined };
  return { hash: '', operator, tenants: new Map(), match: () => undefined };
}

function fixture(replacement?: HostPort, sharing?: SocketSource) {
  const ports = new Ports();
  const clock = new ManualClock();
  const logger = new MemoryLogger();
  const listeners = new Listeners({
    gateway: 'default',
    address: '127.0.0.1',
    replacement,
    sharing,
    createServer: ports.createServer,
    drainMs: 30_000,
    retryMs: 5_000,
    clock,
    logger,
    metrics: new Metrics(),
  });
  return { ports, clock, logger, listeners };
}

const hostOf = (host: string) => ({
  method: 'POST',
  path: '/',
  query: '',
  host,
  port: 1,
  contentLength: 0,
  remoteAddress: '',
  secure: false,
  header: () => undefined,
  withPrefix: () => [],
});

describe('listeners', () => {
  it('open what the first table asks for', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('http', 8080), listener('other', 8081)));
    await listeners.settled();
    expect(listeners.open).toEqual([
      { name: 'http', host: '127.0.0.1', port: 8080 },
      { name: 'other', host: '127.0.0.1', port: 8081 },
    ]);
    expect(ports.steps).toEqual(['open 8080', 'open 8081']);
  });

  it('open new ports, drain removed ones and leave all others alone', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('http', 8080), listener('old', 8081)));
    await listeners.settled();
    listeners.reconcile(tableWith(listener('http', 8080), listener('new', 8082)));
    await listeners.settled();
    expect(ports.steps.slice(2)).toEqual(['open 8082', 'close 8081', 'closed 8081']);
    expect([...ports.servers.keys()]).toEqual([8080, 8082]);
  });

  it('give the exchanges of a removed port until the drain deadline', async () => {
    const { ports, clock, listeners } = fixture();
    listeners.reconcile(tableWith(listener('old', 8081)));
    await listeners.settled();
    const server = ports.servers.get(8081);
    if (server) server.inFlight = 1;
    listeners.reconcile(tableWith(listener('new', 8082)));
    await listeners.settled();
    await clock.advance(29_999);
    expect(ports.steps).not.toContain('closed 8081');
    await clock.advance(1);
    expect(ports.steps).toContain('closed 8081');
  });

  it('judge Host by the newest table, without a socket being opened again', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('http', 8080, ['old.example'])));
    await listeners.settled();
    listeners.reconcile(tableWith(listener('http', 8080, ['new.example'])));
    const judge = ports.servers.get(8080)?.judgeHost;
    expect(judge?.(hostOf('new.example'))).toBeUndefined();
    expect(judge?.(hostOf('old.example'))?.status).toBe(403);
    await listeners.settled();
    expect(ports.steps).toEqual(['open 8080']);
  });

  it('serve the others when a port cannot be opened, and try it again', async () => {
    const { ports, clock, logger, listeners } = fixture();
    ports.taken.add(8081);
    listeners.reconcile(tableWith(listener('busy', 8081), listener('http', 8080)));
    await listeners.settled();
    expect(listeners.open.map(({ port }) => port)).toEqual([8080]);
    expect(listeners.failed.map(({ name, address }) => `${name} ${address}`)).toEqual(['busy 127.0.0.1:8081']);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    ports.taken.clear();
    await clock.advance(5_000);
    await listeners.settled();
    expect(listeners.open.map(({ port }) => port)).toEqual([8080, 8081]);
    expect(listeners.failed).toEqual([]);
  });

  it('forget a failed port when it is no longer asked for', async () => {
    const { ports, clock, listeners } = fixture();
    ports.taken.add(8081);
    listeners.reconcile(tableWith(listener('busy', 8081)));
    await listeners.settled();
    listeners.reconcile(tableWith(listener('http', 8080)));
    await listeners.settled();
    expect(listeners.failed).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('take a table that comes while a port is being opened', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('first', 8080)));
    await Promise.resolve();
    listeners.reconcile(tableWith(listener('second', 8081)));
    await listeners.settled();
    expect([...ports.servers.keys()]).toEqual([8081]);
  });

  it('are one address for all where the settings name one', async () => {
    const { ports, listeners } = fixture({ host: '127.0.0.1', port: 0 });
    listeners.reconcile(tableWith(listener('http', 8080, ['a.example']), listener('other', 8081, ['b.example'])));
    await listeners.settled();
    expect(listeners.open).toEqual([{ name: 'http,other', host: '127.0.0.1', port: 40_000 }]);
    const judge = ports.servers.get(40_000)?.judgeHost;
    expect(judge?.(hostOf('a.example'))).toBeUndefined();
    expect(judge?.(hostOf('b.example'))).toBeUndefined();
    expect(judge?.(hostOf('c.example'))?.status).toBe(403);
  });

  it('announce a drain while they accept, then close, and open nothing any more', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('http', 8080)));
    await listeners.settled();
    listeners.drain();
    listeners.reconcile(tableWith(listener('http', 8080), listener('new', 8082)));
    await listeners.close(new AbortController().signal);
    expect(ports.steps).toEqual(['open 8080', 'drain 8080', 'drain 8080', 'close 8080', 'closed 8080']);
    expect(listeners.open).toEqual([]);
  });

  it('count the exchanges of listeners that are closing', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('http', 8080)));
    await listeners.settled();
    const server = ports.servers.get(8080);
    if (server) server.inFlight = 3;
    const deadline = new AbortController();
    const closed = listeners.close(deadline.signal);
    await expect.poll(() => ports.steps).toContain('close 8080');
    expect(listeners.inFlight).toBe(3);
    deadline.abort(new Error('time is up'));
    await closed;
    expect(listeners.inFlight).toBe(0);
  });

  it('of one process among several take over the sockets that they are given, and share the other addresses', async () => {
    const given: GivenListener = { server: new Server(), serve: () => undefined };
    const take = (address: string) => Promise.resolve(address === '127.0.0.1:8080' ? given : undefined);
    const { ports, listeners } = fixture(undefined, { take });
    listeners.reconcile(tableWith(listener('http', 8080), listener('other', 8081)));
    await listeners.settled();
    expect(ports.steps).toEqual(['adopt 8080', 'share 8081', 'open 8081']);
  });

  it('give their sockets up before they accept no more', async () => {
    const { ports, listeners } = fixture();
    listeners.reconcile(tableWith(listener('http', 8080)));
    await listeners.settled();
    await listeners.handOver((address) => {
      ports.steps.push(`give ${address}`);
      return Promise.resolve();
    });
    expect(ports.steps).toEqual(['open 8080', 'drain 8080', 'give 127.0.0.1:8080', 'accept no more 8080']);
  });
});
