import { cp, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { type Clock, type Logger, Metrics, type Random, systemClock, systemRandom } from '@signalbox/runtime';
import { readOrCreateNodeId } from '../discovery/node-id.ts';
import { StateHub } from '../nodes/between-workers/state-hub.ts';
import { nodesLimitsOf } from '../nodes/settings.ts';
import { type ProxySettings, readProxySettings } from '../settings.ts';
import type { SpawnWorker } from './messages.ts';
import { SupervisorAdmin } from './supervisor-admin.ts';
import { type Environment, workerEnvironment, workerFolder } from './worker-environment.ts';
import { WorkerPool } from './worker-pool.ts';

export interface StartWorkersOptions {
  /** Of the whole: each worker gets its own version of it. */
  readonly environment: Environment;
  readonly spawn: SpawnWorker;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Workers that run. */
export interface RunningWorkers {
  /** `http://host:port` of the admin endpoints of all. */
  readonly adminUrl: string;
  /** Replaces every worker, one at a time, without closing a listening socket. */
  restart(): Promise<void>;
  /** Lets all of them drain. @returns false if something was cut off. */
  stop(signal?: 'SIGTERM' | 'SIGINT'): Promise<boolean>;
}

/** How long a worker may take beyond the end of its drain. */
const endGraceMs = 5_000;

/**
 * Starts as many workers as the settings say, and the admin endpoints of all of them.
 * @throws Error when settings cannot be used, or a worker ends before it serves.
 */
export async function startWorkers(options: StartWorkersOptions): Promise<RunningWorkers> {
  const { environment, spawn, logger, clock = systemClock, random = systemRandom } = options;
  const settings = readProxySettings(environment);
  const count = settings.workers ?? 1;
  requireSharable(settings);
  const stateFolder = resolve(settings.state);
  const nodeId = settings.nodeId || (await readOrCreateNodeId(stateFolder, `${hostname()}-${process.pid}`, random));
  if (!settings.sessionKeys) {
    logger.warn(
      'SIGNALBOX_SESSION_KEYS is not set: sessions end with these workers and cannot move to another machine',
    );
  }
  const sessionKeys = environment['SIGNALBOX_SESSION_KEYS'] || random.bytes(32).toString('base64');
  const metrics = new Metrics();
  const pool = new WorkerPool({
    ...{ count, spawn, clock, random, logger, metrics },
    environmentOf: (index) => workerEnvironment(environment, { index, nodeId, stateFolder, sessionKeys }),
    seed: (from, to) =>
      copyLastGood(
        [from, to].map((index) => workerFolder(stateFolder, index)),
        logger,
      ),
    state: new StateHub(clock, nodesLimitsOf(settings)),
    restart: {
      minMs: settings.workerRestartMin,
      maxMs: settings.workerRestartMax,
      stableAfterMs: settings.workerStable,
    },
    startMs: settings.workerStart,
    endMs: settings.drainDeadline + endGraceMs,
  });
  let stopping = false;
  const admin = new SupervisorAdmin({
    ...{ listen: settings.adminListen ?? { host: '127.0.0.1', port: 0 }, count, metrics, askMs: settings.workerAsk },
    serving: () => pool.serving,
    stopping: () => stopping,
  });
  await admin.start();
  try {
    await pool.start();
  } catch (error) {
    await admin.stop();
    throw error;
  }
  logger.info('workers serve', { workers: count, admin: admin.url });
  return {
    adminUrl: admin.url,
    restart: () => pool.restart(),
    stop: async (signal = 'SIGTERM') => {
      stopping = true;
      const inTime = await pool.stop(signal);
      await admin.stop();
      return inTime;
    },
  };
}

/** What several nodes cannot have together. */
function requireSharable({ listen, joinToken, discoveryCert }: ProxySettings): void {
  if (listen?.port === 0)
    throw new Error('workers need a port that all of them know: SIGNALBOX_PROXY_LISTEN with a port other than 0');
  if (!joinToken && discoveryCert === '') return;
  throw new Error(
    'workers are nodes of their own, and a certificate names one node: give them a token that is for all of them (signalbox token create NAME --role node), as SIGNALBOX_PROXY_TOKEN, or start single nodes',
  );
}

/** A new worker serves what the one before it served, even if the control plane is away. */
async function copyLastGood([from = '', to = '']: readonly string[], logger: Logger): Promise<void> {
  try {
    await rm(join(to, 'last-good'), { recursive: true, force: true });
    await cp(join(from, 'last-good'), join(to, 'last-good'), { recursive: true });
  } catch (error) {
    logger.debug('the last good sets of another worker could not be copied', { error: String(error) });
  }
}
