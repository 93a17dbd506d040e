import { Metrics, Secret, systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { AdsClient } from './ads-client.ts';
import { type AdsServer, createAdsServer } from './ads-server.ts';
import { GrpcServer } from './grpc-server.ts';
import { RecordingNode } from './testing/recording-node.ts';
import { leafType, MemorySource, sealType, testFamily, testName, twigType } from './testing/memory-source.ts';
import { testGrant, testServerLimits } from './testing/server-fixture.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(source: MemorySource): Promise<{ ads: AdsServer; address: string }> {
  const ads = createAdsServer({
    families: [{ family: testFamily, source }],
    authenticate: async (metadata) =>
      metadata.get('authorization')[0] === 'Bearer good' ? testGrant() : { code: 16, message: 'unknown token' },
    observer: { opened() {}, heard() {}, sent() {}, acked() {}, nacked() {}, closed() {} },
    ...{ clock: systemClock, random: systemRandom, logger: new MemoryLogger() },
    metrics: new Metrics(),
    limits: testServerLimits,
  });
  const server = new GrpcServer({ clock: systemClock, limits: ads.connectionLimits });
  ads.addTo(server);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  cleanups.push(() => {
    ads.stop();
    server.destroy();
  });
  return { ads, address: `127.0.0.1:${port}` };
}

function connect(address: string, node: RecordingNode, token = 'good'): AdsClient {
  const client = new AdsClient({
    address,
    token: new Secret(token),
    node: { id: 'node-1', cluster: 'edge', userAgentName: 'test', userAgentVersion: '1', metadata: {} },
    types: [leafType, twigType, sealType],
    handler: node,
    ...{ clock: systemClock, random: systemRandom, logger: new MemoryLogger() },
    backoff: { minMs: 5, maxMs: 20, stableAfterMs: 1_000 },
    limits: {
      maxResponseBytes: 4 << 20,
      connectTimeoutMs: 5_000,
      keepaliveIntervalMs: 10_000,
      keepaliveTimeoutMs: 5_000,
    },
  });
  client.start();
  cleanups.push(() => client.stop());
  return client;
}

describe('discovery over a socket', () => {
  it('brings a node what is there and then what changes', async () => {
    const source = new MemorySource();
    source.commit('acme', { leaves: { a: '1' }, twigs: { t: '1' } });
    const { address } = await serve(source);
    const node = new RecordingNode();
    connect(address, node);
    await node.untilActive('acme', 1n);
    source.commit('acme', { leaves: { b: '2', a: null } });
    await node.untilActive('acme', 2n);
    expect([...node.held(leafType)]).toEqual([[testName(leafType, 'acme', 'b'), '2']]);
  });

  it('serves a large collection in responses below the limit', async () => {
    const source = new MemorySource();
    const text = 'x'.repeat(1_000);
    const leaves = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`leaf-${i}`, `${i} ${text}`]));
    source.commit('acme', { leaves });
    const { address } = await serve(source);
    const node = new RecordingNode();
    connect(address, node);
    await node.untilActive('acme', 1n);
    expect(node.held(leafType).size).toBe(60);
    expect(node.responses.filter(({ typeUrl }) => typeUrl === leafType).length).toBeGreaterThan(5);
  });

  it('tells a node with a bad token why it is not let in', async () => {
    const { address } = await serve(new MemorySource());
    const node = new RecordingNode();
    connect(address, node, 'bad');
    await node.until(() => node.connections.some((line) => line === 'disconnected: unknown token'));
    expect(node.responses).toEqual([]);
  });

  it('ends the streams of a revoked credential, and the node comes back', async () => {
    const source = new MemorySource();
    source.commit('acme', { leaves: { a: '1' } });
    const { ads, address } = await serve(source);
    const node = new RecordingNode();
    connect(address, node);
    await node.untilActive('acme', 1n);
    expect(ads.closeStreams('credential', 'revoked')).toBe(1);
    await node.until(() => node.connections.includes('disconnected: revoked'));
    await node.until(() => node.connections.filter((line) => line.startsWith('connected')).length === 2);
  });
});
