import { cpuUs, residentBytes } from '../src/process-cost.ts';
import { type ChangeCost, type FleetProcess, idleCost, measureChanges } from './changes.ts';
import { everyone, type MeasuredControlPlane, nodeToken, tenantName } from './control-plane.ts';
import type { Arrival, GroupPlan } from './fleet.ts';
import type { FleetOptions } from './options.ts';
import { progress } from './progress.ts';

/** What a fleet of one size costs. */
export interface FleetCost {
  readonly nodes: number;
  readonly tenantsPerNode: number;
  readonly arrival: Arrival;
  /** Processor time of the control plane for a node that connects and is configured. */
  readonly cpuUsPerArrival: number;
  /** Resident memory of the control plane for each stream, as it is and after a full collection. */
  readonly residentPerStream: number;
  readonly collectedPerStream: number;
  readonly heapPerStream: number;
  /** Share of a core that the streams cost when nothing changes. */
  readonly idleCores: number;
  readonly scoped: ChangeCost;
  readonly everyone: ChangeCost | undefined;
  readonly reconnect: Arrival;
}

/** Connects a fleet to a control plane that nobody is connected to, changes things, and lets it go. */
export async function measureFleet(
  plane: MeasuredControlPlane,
  fleet: FleetProcess,
  { nodes, options }: { readonly nodes: number; readonly options: FleetOptions },
): Promise<FleetCost> {
  const step = progress(`${nodes} nodes`);
  const groups = await plan(plane, nodes, options);
  step(`${groups.length} credentials created`);
  const tenantsPerNode = Math.ceil(options.tenants / groups.length);
  await plane.memory(true);
  const before = residentBytes(plane.pid);
  const heapBefore = (await plane.memory(true)).heapBytes;
  const cpuBefore = cpuUs(plane.pid);
  const arrival = await fleet.ask<Arrival>({ ask: 'connect', host: '127.0.0.1', port: plane.port, groups });
  const cpuUsPerArrival = (cpuUs(plane.pid) - cpuBefore) / nodes;
  step('connected and configured');
  const resident = residentBytes(plane.pid);
  const collected = await plane.memory(true);
  const idleUsPerSecond = await idleCost(plane);
  const changes = { idleUsPerSecond, perSecond: options.scopedPerSecond, seconds: options.scopedSeconds };
  // Every commit in another tenant, far from the one before.
  const scope = (n: number) => tenantName((n * 7_919) % options.tenants);
  const scoped = await measureChanges(plane, fleet, { ...changes, scope });
  step('changed tenants one by one');
  const { everyonePerSecond: perSecond, everyoneSeconds: seconds } = options;
  const all =
    nodes > everyoneUpTo
      ? undefined
      : await measureChanges(plane, fleet, { idleUsPerSecond, perSecond, seconds, scope: () => everyone });
  step('changed what all see');
  const reconnect = await fleet.ask<Arrival>({ ask: 'reconnect' });
  await fleet.ask({ ask: 'leave' });
  return {
    ...{ nodes, tenantsPerNode, arrival, cpuUsPerArrival, scoped, everyone: all, reconnect },
    residentPerStream: (resident - before) / nodes,
    collectedPerStream: (collected.residentBytes - before) / nodes,
    heapPerStream: (collected.heapBytes - heapBefore) / nodes,
    idleCores: idleUsPerSecond / 1e6,
  };
}

/** The aim for changes that everybody gets is for a thousand nodes. */
const everyoneUpTo = 1_000;

/** Credentials that are created at one time. */
const atOnce = 8;

/** As many credentials as make each tenant visible to so many nodes. */
async function plan(plane: MeasuredControlPlane, nodes: number, options: FleetOptions): Promise<readonly GroupPlan[]> {
  const count = Math.max(1, Math.round(nodes / options.nodesPerTenant));
  const perGroup = Math.ceil(options.tenants / count);
  const groupPlan = async (group: number): Promise<GroupPlan> => {
    const first = group * perGroup;
    const length = Math.max(0, Math.min(perGroup, options.tenants - first));
    const tenants = Array.from({ length }, (_, n) => tenantName(first + n));
    const token = await nodeToken(plane.admin, [everyone, ...tenants]);
    return { token, nodes: Math.round(((group + 1) * nodes) / count) - Math.round((group * nodes) / count) };
  };
  const groups: GroupPlan[] = [];
  while (groups.length < count) {
    const next = Array.from({ length: Math.min(atOnce, count - groups.length) }, (_, n) =>
      groupPlan(groups.length + n),
    );
    groups.push(...(await Promise.all(next)));
  }
  return groups;
}
