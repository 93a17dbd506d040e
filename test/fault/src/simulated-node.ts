import { Secret, systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { kinds, typeUrlOf } from '@signalbox/config';
import type { System } from '@signalbox/test-harness';
import { AdsClient, type ResourceFault, type ResourceUpdate } from '@signalbox/xds';

export interface SimulatedNodeOptions {
  readonly system: System;
  readonly token: string;
  /** What it says that it is. */
  readonly id: string;
  readonly gateway?: string;
  /** Why it refuses a response; none: it takes it. */
  readonly refuse?: (update: ResourceUpdate) => readonly ResourceFault[];
}

/** The node's end of discovery with nothing behind it: it notes what it is sent and how streams end. */
export class SimulatedNode {
  readonly updates: ResourceUpdate[] = [];
  readonly connections: string[] = [];
  readonly #client: AdsClient;

  constructor({ system, token, id, gateway = 'default', refuse = () => [] }: SimulatedNodeOptions) {
    this.#client = new AdsClient({
      address: system.discoveryAddress,
      token: new Secret(token),
      node: { id, cluster: gateway, userAgentName: 'test', userAgentVersion: '1', metadata: {} },
      types: [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind)),
      handler: {
        heldVersions: () => new Map(),
        onResponse: async (update) => {
          this.updates.push(update);
          return refuse(update);
        },
        onConnection: (state, detail) => void this.connections.push(`${state}: ${detail}`),
      },
      ...{ clock: systemClock, random: systemRandom, logger: new MemoryLogger() },
      backoff: { minMs: 10, maxMs: 100, stableAfterMs: 1_000 },
      limits: {
        maxResponseBytes: 4 << 20,
        connectTimeoutMs: 5_000,
        keepaliveIntervalMs: 10_000,
        keepaliveTimeoutMs: 5_000,
      },
    });
  }

  start(): this {
    this.#client.start();
    return this;
  }

  stop(): Promise<void> {
    return this.#client.stop();
  }

  /** Names of everything that it was ever sent. */
  get names(): readonly string[] {
    return this.updates.flatMap(({ resources, removed }) => [...resources.map(({ name }) => name), ...removed]);
  }
}
