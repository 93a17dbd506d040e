import { nativeFamily, Publisher, Tail } from '@signalbox/control-plane/testing';
import { operatorScope } from '@signalbox/config';
import { type Clock, Metrics, type Random } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { type AdsServer, createAdsServer, type StreamGrant, type StreamObserver } from '@signalbox/xds';
import type { PipeTransport } from '@signalbox/xds/testing';

import { tailDatabase } from './log-statements.ts';
import { ProcessClock } from './process-clock.ts';
import type { SimulatedDatabase } from './simulated-database.ts';

export interface SimulatedReplicaOptions {
  readonly database: SimulatedDatabase;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: StreamObserver;
  /** Streams that grow old make up for what was not sent; where they do not, nothing may be forgotten. */
  readonly streamAgeMs: number;
}

/** Small pages and a short memory, so that the rare ways through tail and publisher are taken often. */
const tailLimits = { pollMs: 250, pageRows: 7, passRows: 40 };
const rememberedChanges = 1;

const serverLimits = {
  ...{ maxStreams: 100, streamsPerSecond: 50, streamBurst: 20, maxTypesPerStream: 16, maxNamesPerStream: 100 },
  ...{ maxRequestBytes: 1 << 20, maxResponseBytes: 1_500, handshakeTimeoutMs: 2_000 },
  ...{ streamAgeJitter: 0.5, streamAgeGraceMs: 300 },
  ...{
    authenticationCheckMs: 1_000,
    lateRemovalMs: 5_000,
    answerTimeoutMs: 2_000,
    keepaliveIntervalMs: 10_000,
    keepaliveTimeoutMs: 5_000,
  },
};

/** One life of a control plane: the real tail, publisher and discovery server, between starting and being killed. */
export class SimulatedReplica {
  readonly clock: ProcessClock;
  readonly publisher: Publisher;
  readonly server: AdsServer;
  readonly #pipes = new Set<PipeTransport>();

  constructor({ database, clock, random, observer, streamAgeMs }: SimulatedReplicaOptions) {
    this.clock = new ProcessClock(clock);
    const kit = { clock: this.clock, random, logger: new MemoryLogger(), metrics: new Metrics() };
    const doorbell = {
      listen: async (onRing: () => void) => {
        database.onCommit(() => void this.clock.timer(random.fraction() * 5, onRing));
      },
    };
    const tail = new Tail({ ...kit, ...tailLimits, database: tailDatabase(database, this.clock, random), doorbell });
    this.publisher = new Publisher({
      ...kit,
      feed: tail,
      debounce: { quietMs: 5, maxMs: 50 },
      maxRememberedChanges: rememberedChanges,
    });
    this.server = createAdsServer({
      families: [{ family: nativeFamily, source: this.publisher }],
      authenticate: async (metadata) => grantOf(String(metadata.get('authorization')[0])),
      ...{ ...kit, observer, limits: { ...serverLimits, maxStreamAgeMs: streamAgeMs } },
    });
    void this.#start();
  }

  /** A connection that ends with the process. */
  connected(pipe: PipeTransport): void {
    this.#pipes.add(pipe);
  }

  kill(): void {
    this.clock.kill();
    for (const pipe of this.#pipes) pipe.cut();
  }

  /** Until the database is there. */
  async #start(): Promise<void> {
    while (!this.clock.isKilled) {
      try {
        return await this.publisher.start();
      } catch {
        await this.clock.sleep(100);
      }
    }
  }
}

/** A token is the names of the tenants that it sees, or `all`. */
function grantOf(token: string): StreamGrant {
  const collections = token === 'all' ? 'all' : new Set([operatorScope, ...token.split(',')]);
  return { identity: { credentialId: token, name: token }, family: nativeFamily.name, collections };
}
