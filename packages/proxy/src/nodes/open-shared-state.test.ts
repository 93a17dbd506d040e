import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { randomSessionKeys } from '../session/session-keys.ts';
import { readProxySettings } from '../settings.ts';
import { MemoryState } from './memory-state.ts';
import { openSharedState } from './open-shared-state.ts';
import { RedisState } from './redis/redis-state.ts';

const random = new SeededRandom(1);

const open = (environment: Record<string, string>, sessionKeys = randomSessionKeys(random)) =>
  openSharedState({
    settings: readProxySettings(environment),
    sessionKeys: environment['SIGNALBOX_SESSION_KEYS'] === '' ? undefined : sessionKeys,
    ...{ clock: new ManualClock(), random, logger: new MemoryLogger(), metrics: new Metrics() },
  });

describe('what a node shares', () => {
  it('is in memory unless there is a Redis, and has another name after each start', async () => {
    const [one, two] = [await open({}), await open({})];
    expect([one, two].every((state) => state instanceof MemoryState)).toBe(true);
    expect(one.self).not.toBe(two.self);
    expect(await open({ REDIS_URL: '/run/redis.sock' })).toBeInstanceOf(RedisState);
  });

  it('is not opened with a Redis whose texts nobody else could open', async () => {
    await expect(open({ REDIS_URL: 'redis://127.0.0.1', SIGNALBOX_SESSION_KEYS: '' })).rejects.toThrow(
      'REDIS_URL needs SIGNALBOX_SESSION_KEYS',
    );
  });

  it('goes to another machine over TLS, unless somebody has said that it need not', async () => {
    await expect(open({ REDIS_URL: 'redis://redis.example:6379' })).rejects.toThrow('credentials for Redis');
    expect(await open({ REDIS_URL: 'rediss://redis.example:6379' })).toBeInstanceOf(RedisState);
    const allowed = { REDIS_URL: 'redis://redis.example', SIGNALBOX_ALLOW_PLAINTEXT: 'true' };
    expect(await open(allowed)).toBeInstanceOf(RedisState);
  });
});
