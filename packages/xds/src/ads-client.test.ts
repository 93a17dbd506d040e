import { Secret } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { AdsClient } from './ads-client.ts';
import type { ClientStream, ClientTransport, ClientTransportListener } from './discovery-transport.ts';
import { sealType } from './testing/memory-source.ts';
import { RecordingNode } from './testing/recording-node.ts';
import { Simulation } from './testing/simulation.ts';

/** A server that a test plays by hand. */
class ManualTransport implements ClientTransport {
  readonly dials: number[] = [];
  readonly #clock: ManualClock;
  listener: ClientTransportListener | undefined;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  open(listener: ClientTransportListener): ClientStream {
    this.dials.push(this.#clock.now());
    this.listener = listener;
    return { remoteAddress: 'manual', send: () => undefined, cancel: () => listener.onEnd(1, 'cancelled') };
  }
}

function start() {
  const clock = new ManualClock(0);
  const transport = new ManualTransport(clock);
  const node = new RecordingNode();
  const logger = new MemoryLogger();
  const client = new AdsClient({
    ...{ address: 'manual', token: new Secret('hush'), transport, handler: node, clock, logger },
    node: { id: 'node-1', cluster: 'edge', userAgentName: 'test', userAgentVersion: '1', metadata: {} },
    types: [sealType],
    random: new SeededRandom(7),
    backoff: { minMs: 100, maxMs: 1_000, stableAfterMs: 10_000 },
    limits: { maxResponseBytes: 1_000, connectTimeoutMs: 3_000, keepaliveIntervalMs: 1, keepaliveTimeoutMs: 1 },
  });
  client.start();
  return { client, clock, transport, node, logger };
}

describe('the client', () => {
  it('waits longer after each failure, with jitter, and never longer than the maximum', async () => {
    const { client, clock, transport, logger } = start();
    for (let i = 0; i < 12; i += 1) {
      transport.listener?.onEnd(14, 'connection refused');
      await clock.advance(1_000);
    }
    const waits = transport.dials.slice(1).map((at, i) => at - (transport.dials[i] as number));
    expect(waits.every((wait) => wait >= 100)).toBe(true);
    expect(new Set(waits).size).toBeGreaterThan(3);
    expect(logger.lines.every(({ level }) => level === 'warn')).toBe(true);
    await client.stop();
  });

  it('gives up on a server that does not let it in', async () => {
    const { client, clock, node } = start();
    await clock.advance(3_001);
    expect(node.connections).toContain('disconnected: not accepted within 3000 ms');
    await client.stop();
  });

  it('stops while it waits to reconnect', async () => {
    const { client, clock, transport } = start();
    transport.listener?.onEnd(14, 'refused');
    await clock.advance(1);
    await client.stop();
    await clock.advance(10_000);
    expect(transport.dials).toHaveLength(1);
  });

  it('does not report the end of a stream that had answered as a failure', async () => {
    const world = new Simulation();
    const { node, transport } = world.node('node-1');
    await world.clock.advance(100);
    transport.cut();
    await world.clock.advance(0);
    await world.clock.advance(500);
    expect(node.connections.filter((line) => line.startsWith('connected'))).toHaveLength(2);
    expect(world.nodeLog.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'info discovery stream ended, reconnecting',
    ]);
    await world.stop();
  });

  it('waits for the handler before it stops, and does not call it afterwards', async () => {
    const world = new Simulation();
    world.source.commit('acme', { leaves: { a: '1' } });
    const { node } = world.node('node-1');
    let finished = false;
    node.beforeAnswer = async () => {
      await world.clock.sleep(500);
      finished = true;
    };
    await world.clock.advance(100);
    const stopped = world.stop();
    await world.clock.advance(1_000);
    await stopped;
    expect(finished).toBe(true);
    expect(node.responses).toHaveLength(1);
  });

  it('refuses the response that the handler fails at, and goes on', async () => {
    const world = new Simulation();
    world.source.commit('acme', { leaves: { a: '1' } });
    const { node } = world.node('node-1');
    node.refuse = () => {
      node.refuse = () => [];
      throw new Error('bug');
    };
    await world.clock.advance(100);
    expect(world.observer.refusals).toMatchObject([
      { faults: [{ name: '', error: 'the node failed to handle the response: Error: bug' }] },
    ]);
    expect(world.observer.open.size).toBe(1);
    await world.stop();
  });
});
