import { cpuUs } from '../src/process-cost.ts';
import { backend, type MeasuredControlPlane } from './control-plane.ts';
import type { Commit, Deliveries } from './deliveries.ts';
import { nowMs } from './fleet.ts';
import type { FleetAnswer, FleetRequest } from './fleet-process.ts';
import type { Forked } from './forked.ts';

export type FleetProcess = Forked<FleetRequest, FleetAnswer>;

/** What changes at a steady rate cost. */
export interface ChangeCost {
  readonly commits: number;
  /** Requests that were answered with an error: the store was too busy. */
  readonly failed: number;
  readonly deliveries: number;
  readonly lost: number;
  /** From the request to the node that has it. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From the answer, which is sent after the commit. */
  readonly afterCommitP99Ms: number;
  /** Processor time of the control plane for one change, the API's share included. */
  readonly cpuUsPerChange: number;
  /** The same by receivers, less what it uses when nothing changes. */
  readonly cpuUsPerReceiver: number;
}

export interface ChangeLoad {
  readonly perSecond: number;
  readonly seconds: number;
  /** The tenant of each change. */
  readonly scope: (n: number) => string;
  /** Processor time of the control plane in a second without changes. */
  readonly idleUsPerSecond: number;
}

const arriveWithinMs = 10_000;

/** Commits at a fixed rate, whether or not the answers keep up, and asks the fleet what it had when. */
export async function measureChanges(
  plane: MeasuredControlPlane,
  fleet: FleetProcess,
  { perSecond, seconds, scope, idleUsPerSecond }: ChangeLoad,
): Promise<ChangeCost> {
  await fleet.ask({ ask: 'listen' });
  const before = { us: cpuUs(plane.pid), atMs: nowMs() };
  const pending: Promise<Commit | undefined>[] = [];
  for (let n = 0; n < perSecond * seconds; n += 1) {
    const dueMs = before.atMs + (n * 1_000) / perSecond;
    const waitMs = dueMs - nowMs();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    pending.push(commit(plane, scope(n)));
  }
  const commits = (await Promise.all(pending)).filter((each) => each !== undefined);
  const deliveries = await fleet.ask<Deliveries>({ ask: 'deliveries', commits, withinMs: arriveWithinMs });
  const us = cpuUs(plane.pid) - before.us;
  const usOfChanges = us - (idleUsPerSecond * (nowMs() - before.atMs)) / 1_000;
  return {
    failed: pending.length - commits.length,
    ...{ commits: commits.length, deliveries: deliveries.count, lost: deliveries.lost },
    ...{ p50Ms: at(deliveries.sinceRequestMs, 0.5), p99Ms: at(deliveries.sinceRequestMs, 0.99) },
    afterCommitP99Ms: at(deliveries.sinceAnswerMs, 0.99),
    cpuUsPerChange: us / commits.length,
    cpuUsPerReceiver: usOfChanges / deliveries.count,
  };
}

/** Processor time of the control plane in a second in which nothing happens. */
export async function idleCost({ pid }: MeasuredControlPlane): Promise<number> {
  const idleMs = 2_000;
  const before = cpuUs(pid);
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  return ((cpuUs(pid) - before) * 1_000) / idleMs;
}

/** Something that was never there before: what changes nothing is no revision, and nobody hears of it. Undefined: refused. */
async function commit({ writer }: MeasuredControlPlane, scope: string): Promise<Commit | undefined> {
  const startedMs = nowMs();
  const resources = [backend(scope, 'backend-0', `change-${startedMs}`)];
  try {
    const revision = await writer.apply({ scope, resources });
    return { scope, revision, startedMs, answeredMs: nowMs() };
  } catch {
    return undefined;
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
