import { kinds, typeUrlOf } from '@signalbox/config';
import { Metrics, Secret, systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { AdsClient, type ClientHandler, type ResourceFault, type ResourceUpdate } from '@signalbox/xds';
import { afterEach, describe, expect, it } from 'vitest';
import { Publisher } from '../publish/publisher.ts';
import { ScopedSources } from '../publish/scoped-sources.ts';
import { TenantDirectory } from '../publish/tenant-directory.ts';
import { tenantRights } from '../publish/tenant-rights.ts';
import { MemoryFeed } from '../testing/memory-feed.ts';
import { DiscoveryService } from './discovery-service.ts';
import { NodeAdmission } from './node-admission.ts';
import type { NodeIdentity } from './node-identity.ts';
import { NodeRegistry } from './node-registry.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const identities: Readonly<Record<string, NodeIdentity>> = {
  all: {
    tokenId: 't1',
    name: 'all tenants',
    gateway: 'edge',
    node: undefined,
    family: 'native',
    tenants: null,
    isRelay: false,
  },
  acme: {
    ...{ tokenId: 't2', name: 'acme only', gateway: 'edge', node: undefined, family: 'native' },
    tenants: tenantRights(['acme'], ''),
    isRelay: false,
  },
};

/** A node that accepts everything unless told otherwise, and notes the names it was sent. */
class Listener implements ClientHandler {
  readonly names = new Set<string>();
  readonly ends: string[] = [];
  refuse: (update: ResourceUpdate) => readonly ResourceFault[] = () => [];

  heldVersions(): ReadonlyMap<string, string> {
    return new Map();
  }

  async onResponse(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    for (const { name } of update.resources) this.names.add(name);
    for (const name of update.removed) this.names.delete(name);
    return this.refuse(update);
  }

  onConnection(state: 'connecting' | 'connected' | 'disconnected', detail: string): void {
    if (state === 'disconnected') this.ends.push(detail);
  }
}

async function start() {
  const feed = new MemoryFeed();
  const common = { clock: systemClock, random: systemRandom, logger: new MemoryLogger() };
  const publisher = new Publisher({
    ...{ ...common, feed, debounce: { quietMs: 5, maxMs: 50 }, maxRememberedChanges: 100 },
  });
  const registry = new NodeRegistry({
    ...{ source: publisher, replica: 'r1', time: systemClock, metrics: new Metrics() },
    ...{ maxDisconnectedNodes: 10, maxRevisions: 3 },
  });
  const service = new DiscoveryService({
    listen: { host: '127.0.0.1', port: 0 },
    source: publisher,
    views: [],
    admission: new NodeAdmission({
      authenticator: {
        authenticate: async (token) => identities[token],
        authenticateCertificate: async () => undefined,
      },
      trustDomain: 'test',
      scopes: new ScopedSources({
        ...{ published: publisher, directory: new TenantDirectory(publisher) },
        ...{ maxRememberedChanges: 100, maxSources: 10 },
      }),
      views: [],
      clock: systemClock,
    }),
    observer: registry,
    metrics: new Metrics(),
    ...common,
    limits: {
      ...{
        maxTypesPerStream: 16,
        maxNamesPerStream: 1_000,
        maxStreams: 10,
        streamsPerSecond: 100,
        streamBurst: 100,
        maxRequestBytes: 1 << 20,
      },
      ...{ maxResponseBytes: 4 << 20, maxStreamAgeMs: 1_800_000, streamAgeJitter: 0.3, streamAgeGraceMs: 10_000 },
      ...{ handshakeTimeoutMs: 10_000, authenticationCheckMs: 30_000, lateRemovalMs: 5_000, answerTimeoutMs: 60_000 },
      ...{ keepaliveIntervalMs: 10_000, keepaliveTimeoutMs: 5_000 },
    },
  });
  feed.addTenant('acme');
  feed.addTenant('globex');
  feed.commit('acme', { 'Backend/b': '1' });
  feed.commit('globex', { 'Backend/z': '1' });
  await publisher.start();
  const port = await service.start();
  cleanups.push(() => service.stop(AbortSignal.timeout(1_000)));
  const until = async (condition: () => boolean) => {
    const deadlineMs = systemClock.monotonic() + 4_000;
    while (!condition()) {
      if (systemClock.monotonic() > deadlineMs) throw new Error(`waited in vain: ${condition.toString()}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const connect = (token: string, cluster = 'edge') => {
    const handler = new Listener();
    const client = new AdsClient({
      ...{ address: `127.0.0.1:${port}`, token: new Secret(token), handler, ...common },
      node: { id: 'node-1', cluster, userAgentName: 'signalbox', userAgentVersion: '1', metadata: {} },
      types: [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind)),
      backoff: { minMs: 5, maxMs: 20, stableAfterMs: 1_000 },
      limits: {
        ...{
          maxResponseBytes: 4 << 20,
          connectTimeoutMs: 5_000,
          keepaliveIntervalMs: 10_000,
          keepaliveTimeoutMs: 5_000,
        },
      },
    });
    client.start();
    cleanups.push(() => client.stop());
    return handler;
  };
  const scope = (name: string) => registry.list()[0]?.scope(name);
  return { feed, service, registry, connect, until, scope };
}

describe('the discovery service', () => {
  it('brings a commit to the node and knows that it has arrived', async () => {
    const { feed, connect, until, scope } = await start();
    connect('all');
    await until(() => scope('acme')?.applied === 1n && scope('globex')?.applied === 1n);
    feed.commit('acme', { 'Backend/b': '2' });
    await until(() => scope('acme')?.applied === 2n);
    expect(scope('acme')).toMatchObject({ sent: 2n, refused: undefined });
  });

  it('shows a node the operator’s scope and the tenants of its token, and nothing else', async () => {
    const { connect, until, scope, registry } = await start();
    const node = connect('acme');
    await until(() => scope('acme')?.applied === 1n && scope('operator')?.applied === 2n);
    expect([...node.names].filter((name) => name.includes('/globex/'))).toEqual([]);
    expect([...(registry.list()[0]?.scopes() ?? [])].sort()).toEqual(['acme', 'operator']);
  });

  it.each([
    { case: 'no known token', token: 'unknown', cluster: 'edge', end: /unknown, expired, revoked/ },
    { case: 'the gateway of another token', token: 'all', cluster: 'core', end: /is not for the gateway/ },
  ])('sends no name to a node with $case', async ({ token, cluster, end }) => {
    const { connect, until, registry } = await start();
    const node = connect(token, cluster);
    await until(() => node.ends.length > 0);
    expect(node.ends[0]).toMatch(end);
    expect([node.names.size, registry.list().length]).toEqual([0, 0]);
  });

  it('says which resource a node refuses, and why', async () => {
    const { feed, connect, until, scope, registry } = await start();
    const node = connect('all');
    await until(() => scope('acme')?.applied === 1n && scope('operator')?.applied === 2n);
    node.refuse = ({ resources }) => resources.map(({ name }) => ({ name, error: 'too large for this node' }));
    feed.commit('acme', { 'Backend/big': '1' });
    await until(() => scope('acme')?.refused !== undefined);
    expect(scope('acme')).toMatchObject({ sent: 2n, applied: 1n });
    expect(registry.list()[0]?.lastNack).toMatchObject({
      ...{ scope: 'acme', revision: 2n },
      refusals: [
        { type: 'Backend', resource: 'big', message: 'too large for this node' },
        { type: 'Manifest', resource: 'current', message: 'too large for this node' },
      ],
    });
  });

  it('ends the streams of a revoked token', async () => {
    const { service, connect, until, scope } = await start();
    const node = connect('acme');
    await until(() => scope('acme')?.applied === 1n);
    expect(service.closeStreams('t2')).toBe(1);
    await until(() => node.ends.length > 0);
    expect(node.ends[0]).toMatch(/revoked/);
  });

  it('withdraws a tenant that is deleted', async () => {
    const { feed, connect, until, scope } = await start();
    const node = connect('all');
    await until(() => scope('globex')?.applied === 1n);
    feed.commit('operator', { 'Tenant/globex': null });
    await until(() => ![...node.names].some((name) => name.includes('/globex/')));
    expect(scope('globex')).toBeUndefined();
  });
});
