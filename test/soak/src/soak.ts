import { setTimeout as wait } from 'node:timers/promises';
import { SeededRandom } from '@signalbox/runtime/testing';
import {
  federatedRoute,
  gateway,
  mcpRoute,
  policy,
  type RunPostgres,
  startRunPostgres,
  startSystem,
  startTestRedis,
  type System,
  type SystemNode,
  tenant,
} from '@signalbox/test-harness';
import { runClient } from './client.ts';
import { MemoryCurve } from './memory.ts';
import { type SoakServer, startLegacyServer, startModernServer } from './server.ts';
import { Tally } from './tally.ts';

export interface SoakOptions {
  readonly durationMs: number;
  readonly seed: number;
  /** Clients of each kind. */
  readonly clients: number;
  /** Between changes of the configuration, and at the mean between restarts of a node. */
  readonly changeMs: number;
  readonly restartMs: number;
  readonly measureMs: number;
  readonly say: (line: string) => void;
}

export interface SoakResult {
  readonly tally: Tally;
  readonly changes: number;
  readonly restarts: number;
  /** What servers still have open when all clients have ended. */
  readonly leaked: { readonly sessions: number; readonly open: number };
  readonly memory: ReturnType<MemoryCurve['lastTwoThirds']>;
}

const keys = { soak: 'soak-key' };
/** Sessions that the gateway began by itself end this long after they were used last. */
const idleMs = 3_000;

/** Mixed traffic over two nodes while the configuration changes and nodes restart: see README.md. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const redis = await startTestRedis();
  const postgres = await startRunPostgres();
  const servers = [await startLegacyServer(), await startLegacyServer(), await startModernServer()] as const;
  try {
    return await run(options, { postgres, redis: redis && { url: redis.url, prefix: redis.prefix }, servers });
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await postgres.stop();
    await redis?.stop();
  }
}

interface Engines {
  readonly postgres: RunPostgres;
  readonly redis: { readonly url: string; readonly prefix: string } | undefined;
  readonly servers: readonly [SoakServer, SoakServer, SoakServer];
}

async function run(options: SoakOptions, { postgres, redis, servers }: Engines): Promise<SoakResult> {
  const [old, other, modern] = servers;
  const system = await startSystem({
    pgUrl: postgres.url,
    nodes: 0,
    settings: {
      ...(redis && { REDIS_URL: redis.url, SIGNALBOX_REDIS_PREFIX: redis.prefix }),
      SIGNALBOX_PROXY_SHARED_SESSION_IDLE: String(idleMs),
      SIGNALBOX_PROXY_MEMBER_BREAK: '200',
      SIGNALBOX_PROXY_DRAIN_SPREAD: '50',
    },
  });
  try {
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'old', url: old.url, keys, rules: ['true'] }),
      ...mcpRoute({ name: 'new', url: modern.url, keys, rules: ['true'] }),
      ...federatedRoute({ name: 'all', backends: { one: other.url, two: modern.url }, keys, rules: ['true'] }),
    ]);
    const nodes = [await system.startNode({}, 'soak-0'), await system.startNode({}, 'soak-1')];
    const memory = new MemoryCurve();
    const tally = new Tally();
    const end = new AbortController();
    const random = new SeededRandom(options.seed);
    const endpoint = (route: string): string => {
      const there = nodes.filter((node) => !node.stopped() && node.proxy.listeners().length > 0);
      const node = there[Math.floor(random.fraction() * there.length)];
      if (!node) throw new Error('no node is there');
      return node.endpoint('acme', route);
    };
    const kinds = (['legacy', 'modern'] as const).flatMap((era) => [
      { era, route: 'old', prefixes: [''] },
      { era, route: 'new', prefixes: [''] },
      { era, route: 'all', prefixes: ['one__', 'two__'] },
    ]);
    const clients = kinds.flatMap((kind) =>
      Array.from({ length: options.clients }, (_, at) => {
        const name = `${kind.era}-${kind.route}-${at}`;
        const prefixes = kind.prefixes;
        return runClient({
          ...kind,
          name,
          prefixes,
          endpoint: () => endpoint(kind.route),
          random,
          tally,
          signal: end.signal,
        });
      }),
    );
    const counts = { changes: 0, restarts: 0 };
    const disturbing = Promise.all([
      keepChanging(system, options, end.signal, counts),
      keepRestarting(system, nodes, { random, options, signal: end.signal, counts }),
      keepMeasuring(memory, tally, options, end.signal),
    ]);
    await wait(options.durationMs);
    end.abort();
    await Promise.all(clients);
    await disturbing;
    const leaked = await whatIsLeft(servers);
    return { tally, ...counts, leaked, memory: memory.lastTwoThirds() };
  } finally {
    await system.stop();
  }
}

/** Rules that allow the same in other words, and a route that comes and goes. */
async function keepChanging(
  system: System,
  { changeMs }: SoakOptions,
  signal: AbortSignal,
  counts: { changes: number },
): Promise<void> {
  while (!signal.aborted) {
    counts.changes += 1;
    const { changes } = counts;
    const rules = ['true', `tool.name == "number-${changes}"`];
    await system.apply(
      [
        ...['old', 'new', 'all'].map((name) => policy({ name, keys, rules })),
        ...mcpRoute({ name: 'guest', url: `http://127.0.0.1:9/${changes}`, keys, rules: ['true'] }),
      ],
      { wait: false },
    );
    await wait(changeMs, undefined, { signal }).catch(() => undefined);
  }
}

interface Restarting {
  readonly random: SeededRandom;
  readonly options: SoakOptions;
  readonly signal: AbortSignal;
  readonly counts: { restarts: number };
}

/** One node at a time. */
async function keepRestarting(system: System, nodes: SystemNode[], { random, options, signal, counts }: Restarting) {
  while (!signal.aborted) {
    await wait(options.restartMs * (0.5 + random.fraction()), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const at = Math.floor(random.fraction() * nodes.length);
    const node = nodes[at] as SystemNode;
    await node.stop();
    await wait(200);
    nodes[at] = await system.startNode({}, node.id, node.stateFolder);
    counts.restarts += 1;
  }
}

async function keepMeasuring(memory: MemoryCurve, tally: Tally, options: SoakOptions, signal: AbortSignal) {
  const { gc: collect } = globalThis as { gc?: () => void };
  if (!collect) throw new Error('start it with --expose-gc');
  const begunAt = performance.now();
  while (!signal.aborted) {
    await wait(options.measureMs, undefined, { signal }).catch(() => undefined);
    const atMs = performance.now() - begunAt;
    const bytes = memory.measure(atMs, collect);
    const so = `${Math.round(atMs / 1_000)} s: ${tally.total} done, ${tally.faultCount} faults, ${(bytes / 2 ** 20).toFixed(1)} MiB`;
    options.say(so);
  }
}

/** Sessions that the gateway keeps for clients of the modern era end when nobody has used them for a while. */
async function whatIsLeft(servers: readonly SoakServer[]): Promise<SoakResult['leaked']> {
  const sum = (of: (server: SoakServer) => number): number => servers.reduce((total, server) => total + of(server), 0);
  const left = () => ({ sessions: sum((server) => server.sessions()), open: sum((server) => server.open()) });
  for (let waited = 0; waited < 5 * idleMs && left().sessions + left().open > 0; waited += 100) await wait(100);
  return left();
}
