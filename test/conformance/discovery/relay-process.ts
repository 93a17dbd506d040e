import { relaySettings, type RunningRelay, startRelay } from '@signalbox/control-plane';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { until } from '@signalbox/test-harness';
import type { Subscriber } from './raw-stream.ts';
import { grpcProjection } from './grpc-family.ts';
import { testProjection } from './test-family.ts';

/** A relay in this process, below a control plane or another relay. */
export interface TestRelay extends AsyncDisposable {
  readonly running: RunningRelay;
  readonly address: string;
  readonly logger: MemoryLogger;
  /** Resolves when it lets nodes in. */
  ready(): Promise<unknown>;
  readiness(): Promise<string>;
}

/** @param upstream address and token of the relay. */
export async function startTestRelay(
  upstream: Subscriber,
  settings: Readonly<Record<string, string>> = {},
): Promise<TestRelay> {
  const logger = new MemoryLogger();
  const running = await startRelay({
    logger,
    projections: [testProjection, grpcProjection],
    settings: readSettings(relaySettings, {
      SIGNALBOX_RELAY_UPSTREAM: upstream.address,
      SIGNALBOX_RELAY_TOKEN: upstream.token,
      SIGNALBOX_RELAY_ID: 'relay-1',
      SIGNALBOX_RELAY_STATUS_LISTEN: '127.0.0.1:0',
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
      SIGNALBOX_RELAY_BACKOFF_MIN: '10',
      SIGNALBOX_RELAY_BACKOFF_MAX: '100',
      ...settings,
    }),
  });
  const { host, port } = running.discoveryAddress;
  const readiness = async () => (await fetch(`${running.statusUrl}/readyz`)).text();
  return {
    ...{ running, logger, readiness, address: `${host}:${port}` },
    ready: () =>
      until('the relay to be ready', async () => ((await readiness()).startsWith('ready') ? true : undefined)),
    [Symbol.asyncDispose]: async () => void (await running.stop(2_000)),
  };
}
