import { controlPlaneSettings, relaySettings, startControlPlane, startRelay } from '@signalbox/control-plane';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { createDatabase } from '@signalbox/test-harness';
import { describe, expect, inject, it } from 'vitest';

describe('without TLS, tokens do not leave the machine', () => {
  const logger = new MemoryLogger();
  const advice = /SIGNALBOX_ALLOW_PLAINTEXT=true/;

  it('towards a control plane that listens for others: it does not start, unless somebody says so', async () => {
    const start = async (more: Record<string, string>) => {
      const settings = readSettings(controlPlaneSettings, {
        DATABASE_URL: await createDatabase(inject('pgUrl')),
        SIGNALBOX_API_LISTEN: '127.0.0.1:0',
        SIGNALBOX_DISCOVERY_LISTEN: '0.0.0.0:0',
        ...more,
      });
      return startControlPlane({ settings, logger });
    };
    await expect(start({})).rejects.toThrow(advice);
    const running = await start({ SIGNALBOX_ALLOW_PLAINTEXT: 'true' });
    expect(logger.lines).toContainEqual(expect.objectContaining({ level: 'warn' }));
    await running.stop(2_000);
  });

  it('from a relay to a control plane elsewhere: it does not start', async () => {
    const relay = readSettings(relaySettings, {
      SIGNALBOX_RELAY_UPSTREAM: '192.0.2.1:7071',
      SIGNALBOX_RELAY_TOKEN: 'a-token',
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
      SIGNALBOX_RELAY_STATUS_LISTEN: '127.0.0.1:0',
    });
    await expect(startRelay({ settings: relay, logger })).rejects.toThrow(advice);
  });
});
