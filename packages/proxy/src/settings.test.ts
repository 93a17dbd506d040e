import { SettingsError } from '@signalbox/runtime';
import { describe, expect, it } from 'vitest';
import { defaultHttpServerLimits } from './http/http-server.ts';
import { defaultRequestLimits } from './mcp/request-limits.ts';
import { http1ClientLimitsOf, httpServerLimitsOf, requestLimitsOf } from './limits.ts';
import { proxySettings, readProxySettings } from './settings.ts';
import { defaultHttp1ClientLimits } from './upstream/http1-client.ts';

describe('the settings of a proxy', () => {
  it('are usable without a single variable, with the defaults that each part names', () => {
    const settings = readProxySettings({});
    expect(httpServerLimitsOf(settings)).toEqual(defaultHttpServerLimits);
    expect(http1ClientLimitsOf(settings)).toEqual(defaultHttp1ClientLimits);
    expect(requestLimitsOf(settings)).toEqual(defaultRequestLimits);
    expect(settings.adminListen).toEqual({ host: '127.0.0.1', port: 8090 });
  });

  it('have one variable each, with a sentence that says what it does', () => {
    const declared = Object.values(proxySettings);
    expect(new Set(declared.map(({ name }) => name)).size).toBe(declared.length);
    const isNamed = (name: string): boolean => name.startsWith('SIGNALBOX_') || name === 'REDIS_URL';
    expect(declared.filter(({ name, doc }) => !isNamed(name) || !/^[A-Z].+\.$/.test(doc))).toEqual([]);
  });

  it.each(['redis://127.0.0.1', 'redis://user:pass@host:6380/3', 'rediss://[::1]:6379', '/run/redis.sock'])(
    'take %s for a Redis, and never show it',
    (url) => {
      const settings = readProxySettings({ REDIS_URL: url });
      expect(settings.redisUrl?.reveal()).toBe(url);
      expect(JSON.stringify(settings)).not.toContain(url);
    },
  );

  it.each(['redis', 'http://127.0.0.1:6379', 'redis://', 'redis://host/name'])('refuse %s as a Redis', (url) => {
    expect(() => readProxySettings({ REDIS_URL: url })).toThrow(SettingsError);
  });

  it('refuse keys of the wrong length and never show the right ones', () => {
    const key = Buffer.alloc(32, 7).toString('base64');
    const settings = readProxySettings({ SIGNALBOX_PROXY_STATE_KEY: key, SIGNALBOX_SESSION_KEYS: `${key},${key}` });
    expect(settings.stateKey?.reveal()).toEqual(Buffer.alloc(32, 7));
    expect(settings.sessionKeys?.reveal()).toHaveLength(2);
    expect(JSON.stringify(settings)).not.toContain(key);
    const short = { SIGNALBOX_PROXY_STATE_KEY: 'c2hvcnQ=', SIGNALBOX_SESSION_KEYS: 'c2hvcnQ=' };
    expect(() => readProxySettings(short)).toThrow(SettingsError);
  });
});
