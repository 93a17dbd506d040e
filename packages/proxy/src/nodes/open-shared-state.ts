import { readFile } from 'node:fs/promises';
import { type Clock, type Logger, type Metrics, type Random, requireProtection } from '@signalbox/runtime';
import type { SessionKeys } from '../session/session-keys.ts';
import { type StateChannel, WorkerState } from './between-workers/worker-state.ts';
import { MemoryHub, MemoryState } from './memory-state.ts';
import { nodesLimitsOf, type NodesSettings } from './settings.ts';
import type { SharedState } from './shared-state.ts';

interface Kit {
  readonly settings: NodesSettings & { readonly allowPlaintext: boolean };
  /** Undefined: none were given. */
  readonly sessionKeys: SessionKeys | undefined;
  /** The way to what the workers of this machine share; undefined: it is not one of several. */
  readonly workers?: StateChannel | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * What this node shares with others: through Redis when the settings name one, else with the other workers of
 * its machine, or with nobody. Redis need not be there
 * yet.
 * @throws Error when the settings do not go together, or files cannot be read.
 */
export async function openSharedState(kit: Kit): Promise<SharedState> {
  const { settings, sessionKeys, clock, random, logger } = kit;
  const self = random.bytes(9).toString('base64url');
  const limits = nodesLimitsOf(settings);
  const { redisUrl: url } = settings;
  if (!url && kit.workers) return new WorkerState(kit.workers, self, limits);
  if (!url) return new MemoryState(new MemoryHub(clock, limits), self);
  if (!sessionKeys) {
    throw new Error(
      'REDIS_URL needs SIGNALBOX_SESSION_KEYS: nodes read only what was sealed with keys that they share',
    );
  }
  protect(url.reveal(), settings.allowPlaintext, logger);
  const { redisUser: user, redisPassword: password } = settings;
  const address = { url, user, password, tls: await tlsOf(settings) };
  // A node alone does without the client and the memory that it takes.
  const { RedisState } = await import('./redis/redis-state.ts');
  return new RedisState({
    ...{ ...kit, address, self, limits, sessionKeys, prefix: settings.redisPrefix },
    connectMs: settings.redisConnectTimeout,
    commandMs: settings.redisTimeout,
    retryMinMs: settings.redisRetryMin,
    retryMaxMs: settings.redisRetryMax,
    pendingBytes: settings.redisPendingBytes,
  });
}

/** A socket is on this machine. */
function protect(url: string, isAllowed: boolean, logger: Logger): void {
  if (url.startsWith('/')) return;
  const { hostname: host, port, protocol } = new URL(url);
  requireProtection(
    {
      ...{ address: { host, port: port === '' ? 6_379 : Number(port) }, purpose: 'Redis' },
      ...{ isSecure: protocol === 'rediss:', remedy: 'REDIS_URL to rediss://…' },
    },
    { isAllowed, logger },
  );
}

async function tlsOf({ redisCa, redisCert, redisKey }: NodesSettings): Promise<Record<string, Buffer>> {
  const files = Object.entries({ ca: redisCa, cert: redisCert, key: redisKey }).filter(([, path]) => path !== '');
  return Object.fromEntries(
    await Promise.all(files.map(async ([name, path]) => [name, await readFile(path)] as const)),
  );
}
