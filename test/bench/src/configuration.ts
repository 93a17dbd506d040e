import {
  gateway,
  mcpRoute,
  policy,
  type ResourceFile,
  startControlPlaneProcess,
  startRunPostgres,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';

import { medianOf } from './rounds.ts';
import { type DiskFlush, measureDiskFlush } from './disk-flush.ts';
import { type Probe, startProbe } from './probe.ts';
import type { Stall } from './stall-meter.ts';

const keys = { bench: 'bench-key' };
const backendUrl = 'http://127.0.0.1:9/mcp';

/** How fast a commit is served. */
export interface PropagationCost {
  readonly commits: number;
  /** From the transaction's last statement, its commit included, to the node's acknowledgement after its swap. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of that, what came after the API had answered that it is committed. */
  readonly afterAnswerP50Ms: number;
  readonly afterAnswerP99Ms: number;
  readonly disk: DiskFlush;
}

/** Over several swaps. */
export interface Stalls {
  readonly longest: Stall;
  readonly median: Stall;
}

/** How long requests may have to wait because a table is exchanged. */
export interface SwapCost {
  readonly routes: number;
  readonly swaps: number;
  /** One route of the tenant changes. */
  readonly oneRoute: Stalls;
  /** A policy changes that all routes of the tenant stand under. */
  readonly everyRoute: Stalls;
  readonly appliedP50Ms: number;
}

const commits = 300;
const warmUpCommits = 20;
const routes = 10_000;
const swaps = 10;
const resourcesPerApply = 2_500;

/** Control plane and node are processes of their own, as they are anywhere else; the client is this one. */
export async function measureConfiguration(): Promise<{ propagation: PropagationCost; swap: SwapCost }> {
  const postgres = await startRunPostgres();
  const system = await startSystem({ pgUrl: postgres.url, nodes: 0 });
  await system.stopControlPlane();
  const addresses = { api: new URL(system.apiUrl).host, discovery: system.discoveryAddress };
  const controlPlane = await startControlPlaneProcess(system.databaseUrl, {}, addresses);
  const probe = await startProbe(system.nodeSettings());
  try {
    await system.apply([
      gateway(),
      tenant('bench'),
      tenant('large'),
      ...mcpRoute({ tenant: 'bench', name: 'tools', url: backendUrl, keys, rules: ['true'] }),
    ]);
    const propagation = await measurePropagation(system);
    return { propagation, swap: await measureSwap(system, probe) };
  } finally {
    await probe.process.stop();
    await controlPlane.kill();
    await system.stop();
    await postgres.stop();
  }
}

async function measurePropagation(system: System): Promise<PropagationCost> {
  const times: Propagated[] = [];
  for (let i = 0; i < warmUpCommits + commits; i += 1) {
    const applied = await commit(system, 'bench', [
      policy({ tenant: 'bench', name: 'tools', keys, rules: [`tool.name == "t${i}"`] }),
    ]);
    if (i >= warmUpCommits) times.push(applied);
  }
  const at = (share: number, pick: (each: Propagated) => number) =>
    times.map(pick).toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? Number.NaN;
  return {
    commits,
    p50Ms: at(0.5, ({ appliedMs }) => appliedMs),
    p99Ms: at(0.99, ({ appliedMs }) => appliedMs),
    afterAnswerP50Ms: at(0.5, ({ afterAnswerMs }) => afterAnswerMs),
    afterAnswerP99Ms: at(0.99, ({ afterAnswerMs }) => afterAnswerMs),
    disk: measureDiskFlush(),
  };
}

/** Of one commit, in milliseconds. */
interface Propagated {
  /** From the time that the database gave it to the node's acknowledgement. */
  readonly appliedMs: number;
  /** From the answer to the acknowledgement; 0 where the node was faster. */
  readonly afterAnswerMs: number;
}

async function commit(system: System, scope: string, resources: readonly ResourceFile[]): Promise<Propagated> {
  const revision = (await system.apply(resources, { wait: false })).get(scope);
  const answeredAt = performance.timeOrigin + performance.now();
  const { nodes, committedAt } = await system.propagation(scope, revision);
  const appliedMs = nodes.find(({ node }) => node === 'bench')?.appliedAfterMs ?? Number.NaN;
  const committedAtMs = committedAt ? Number(committedAt.seconds) * 1_000 + committedAt.nanos / 1e6 : Number.NaN;
  return { appliedMs, afterAnswerMs: Math.max(0, committedAtMs + appliedMs - answeredAt) };
}

async function measureSwap(system: System, probe: Probe): Promise<SwapCost> {
  const [backend, virtualServer, route] = mcpRoute({ tenant: 'large', name: 'tools', url: backendUrl }) as [
    ResourceFile,
    ResourceFile,
    ResourceFile,
  ];
  const numbered = (n: number, host: readonly string[] = []): ResourceFile => ({
    ...route,
    metadata: { tenant: 'large', name: `route-${n}` },
    spec: { ...(route['spec'] as object), match: { path: `/large/route-${n}`, hostnames: host } },
  });
  const everyone = (n: number): ResourceFile => {
    const one = policy({
      tenant: 'large',
      name: 'everyone',
      keys,
      rules: ['tool.name.startsWith("read_")', `tool.name == "t${n}"`],
    });
    return { ...one, spec: { ...(one['spec'] as object), target: { tenant: {} } } };
  };
  const all = [backend, virtualServer, everyone(0), ...Array.from({ length: routes }, (_, n) => numbered(n))];
  for (let at = 0; at < all.length; at += resourcesPerApply)
    await system.apply(all.slice(at, at + resourcesPerApply), { wait: false });
  await system.settled();
  const applied: number[] = [];
  const stallsOf = async (change: (n: number) => ResourceFile): Promise<Stalls> => {
    const stalls: Stall[] = [];
    for (let n = 1; n <= swaps; n += 1) {
      await probe.stats();
      applied.push((await commit(system, 'large', [change(n)])).appliedMs);
      stalls.push((await probe.stats()).stall);
    }
    const each = (pick: (values: readonly number[]) => number): Stall => ({
      wallMs: pick(stalls.map(({ wallMs }) => wallMs)),
      cpuMs: pick(stalls.map(({ cpuMs }) => cpuMs)),
    });
    return { longest: each((values) => Math.max(...values)), median: each(medianOf) };
  };
  const oneRoute = await stallsOf((n) => numbered(n, [`host-${n}.example`]));
  const everyRoute = await stallsOf(everyone);
  return { routes, swaps, oneRoute, everyRoute, appliedP50Ms: medianOf(applied) };
}
