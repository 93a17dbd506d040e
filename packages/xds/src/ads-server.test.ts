import { create } from '@bufbuild/protobuf';
import { DeltaDiscoveryRequestSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { describe, expect, it } from 'vitest';
import type { ClientStream } from './discovery-transport.ts';
import { leafType, sealType, testName } from './testing/memory-source.ts';
import { testGrant } from './testing/server-fixture.ts';
import { Simulation } from './testing/simulation.ts';

/** A client that only listens. */
function listen(world: Simulation, token = 'all'): { stream: ClientStream; ends: string[]; responses: number[] } {
  const ends: string[] = [];
  const responses: number[] = [];
  const stream = world.transport(token).open({
    onAccepted: () => undefined,
    onResponse: (response) => void responses.push(response.resources.length),
    onEnd: (code, detail) => void ends.push(`${code} ${detail}`),
  });
  return { stream, ends, responses };
}

function firstRequest(id = 'node-1', typeUrl = leafType) {
  return create(DeltaDiscoveryRequestSchema, { node: { id }, typeUrl });
}

describe('admission', () => {
  it('refuses streams until everything committed is known [5]', async () => {
    const world = new Simulation();
    world.source.ready = false;
    const { stream, ends, responses } = listen(world);
    stream.send(firstRequest());
    await world.clock.advance(100);
    expect(ends).toEqual(['14 the server has not read all configuration yet: retry']);
    expect(responses).toEqual([]);
  });

  it('asks nobody about a stream that names no node [1]', async () => {
    const world = new Simulation();
    let asked = 0;
    world.authenticate = async () => {
      asked += 1;
      return testGrant();
    };
    const { stream, ends } = listen(world);
    stream.send(firstRequest(''));
    await world.clock.advance(100);
    expect(ends).toEqual(['3 node.id is empty: the first request names the node']);
    expect(asked).toBe(0);
  });

  it('sends nothing to a stream that is not let in [3]', async () => {
    const world = new Simulation();
    world.source.commit('acme', { leaves: { a: '1' } });
    world.authenticate = async () => ({ code: 7, message: 'not yours' });
    const { stream, ends, responses } = listen(world);
    stream.send(firstRequest());
    await world.clock.advance(100);
    expect(ends).toEqual(['7 not yours']);
    expect(responses).toEqual([]);
    expect(world.observer.log).toEqual([]);
  });

  it('asks the client to retry when nobody can check its credential', async () => {
    const world = new Simulation();
    world.authenticate = () => Promise.reject(new Error('database is down'));
    const { stream, ends } = listen(world);
    stream.send(firstRequest());
    await world.clock.advance(100);
    expect(ends).toEqual(['14 the credential cannot be checked: retry']);
  });

  it('refuses more streams than it may have', async () => {
    const world = new Simulation(1, 5, { maxStreams: 1 });
    listen(world).stream.send(firstRequest());
    const { ends } = listen(world);
    await world.clock.advance(100);
    expect(ends).toEqual(['8 the server has 1 streams: retry later']);
    expect(world.metrics.expose()).toContain('stream_ends_total{status="resourceExhausted"} 1');
  });

  it('ends a stream without a first request in time', async () => {
    const world = new Simulation();
    const { ends } = listen(world);
    await world.clock.advance(5_100);
    expect(ends).toEqual(['4 no authenticated first request within 5000 ms']);
    expect(world.server.streamCount).toBe(0);
  });

  it('keeps what arrives while the credential is checked', async () => {
    const world = new Simulation();
    world.source.commit('acme', { leaves: { a: '1' } });
    world.authenticate = async () => {
      await world.clock.sleep(50);
      return testGrant();
    };
    const { node } = world.node('node-1');
    await world.clock.advance(200);
    expect(node.active.get('acme')).toBe(1n);
  });
});

describe('open streams', () => {
  it('forgets a stream entirely when it ends, whoever ends it [7]', async () => {
    const world = new Simulation();
    const idle = world.clock.pending;
    for (let i = 0; i < 20; i += 1) {
      const { stream } = listen(world, 'acme,globex');
      stream.send(firstRequest(`node-${i}`));
      await world.clock.advance(20);
      stream.cancel();
    }
    expect(world.server.streamCount).toBe(0);
    expect(world.observer.open.size).toBe(0);
    expect(world.clock.pending).toBe(idle);
  });

  it('asks an old stream to reconnect, and the return transfers nothing unchanged [8]', async () => {
    const world = new Simulation(1, 5, { maxStreamAgeMs: 60_000 });
    world.source.commit('acme', { leaves: { a: 'x'.repeat(500) } });
    const { node } = world.node('node-1');
    await world.clock.advance(100);
    expect(node.active.get('acme')).toBe(1n);
    const before = node.responses.length;
    await world.clock.advance(70_000);
    expect(node.connections.filter((line) => line.startsWith('connected'))).toHaveLength(2);
    expect(node.connections).toContain('disconnected: the stream reached its maximum age: reconnect');
    expect(node.responses.slice(before).flatMap(({ resources }) => resources)).toEqual([]);
  });

  it('lets an old stream finish its round', async () => {
    const world = new Simulation(1, 1, { maxStreamAgeMs: 60_000, streamAgeJitter: 0 });
    const { node } = world.node('node-1');
    await world.clock.advance(59_000);
    node.beforeAnswer = () => world.clock.sleep(1_500);
    world.source.commit('acme', { leaves: { a: '1' } });
    await world.clock.advance(4_000);
    const { log } = world.observer;
    const round = log.slice(log.indexOf('sent node-1 acme@1'));
    expect(round.slice(0, 3)).toEqual([
      'sent node-1 acme@1',
      'acked node-1 acme@1',
      'closed node-1: the stream reached its maximum age: reconnect',
    ]);
  });

  it('ends a stream that does not answer', async () => {
    const world = new Simulation();
    const { stream, ends } = listen(world);
    stream.send(firstRequest());
    await world.clock.advance(80_000);
    expect(ends).toEqual(['10 a response was not answered within 60000 ms: reconnect']);
  });

  it('ends the streams of a credential that was revoked, and no others', async () => {
    const world = new Simulation();
    const revoked = listen(world, 'acme');
    const other = listen(world, 'globex');
    revoked.stream.send(firstRequest('node-1'));
    other.stream.send(firstRequest('node-2'));
    await world.clock.advance(50);
    expect(world.server.closeStreams('acme', 'revoked')).toBe(1);
    await world.clock.advance(50);
    expect([revoked.ends, other.ends]).toEqual([['16 revoked'], []]);
  });

  it('finds out by itself that a credential is no longer good', async () => {
    const world = new Simulation();
    const { node } = world.node('node-1');
    await world.clock.advance(100);
    world.authenticate = async () => ({ code: 16, message: 'expired' });
    await world.clock.advance(31_000);
    expect(node.connections).toContain('disconnected: expired');
  });

  it('keeps open streams while credentials cannot be checked', async () => {
    const world = new Simulation();
    const { node } = world.node('node-1');
    await world.clock.advance(100);
    world.authenticate = () => Promise.reject(new Error('database is down'));
    await world.clock.advance(100_000);
    expect(node.connections).toEqual(['connecting: pipe', 'connected: pipe']);
  });

  it('ends a stream when what its credential may see has changed', async () => {
    const world = new Simulation();
    const { node } = world.node('node-1', 'acme');
    await world.clock.advance(100);
    world.authenticate = async () => testGrant(new Set(['acme', 'globex']));
    await world.clock.advance(31_000);
    expect(node.connections).toContain('disconnected: what the credential may see has changed: reconnect');
  });

  it('puts no byte of a change on streams that do not see the collection [54]', async () => {
    const world = new Simulation();
    world.source.commit('globex', { leaves: { z: '1' } });
    world.node('node-1', 'globex');
    await world.clock.advance(100);
    const before = world.bytesSent;
    world.source.commit('acme', { leaves: { a: '1' } });
    await world.clock.advance(100);
    expect(world.bytesSent).toBe(before);
  });

  it('brings a change to more streams than one turn serves', async () => {
    const world = new Simulation(1, 1, { maxStreams: 300 });
    const nodes = Array.from({ length: 250 }, (_, i) => world.node(`node-${i}`).node);
    await world.clock.advance(100);
    world.source.commit('acme', { leaves: { a: '1' } });
    await world.clock.advance(100);
    expect(nodes.filter((node) => node.active.get('acme') === 1n)).toHaveLength(250);
  });

  it('does not let a slow consumer hold up another, and folds what it missed [55]', async () => {
    const world = new Simulation(1, 0);
    const slow = world.node('slow').node;
    const fast = world.node('fast').node;
    await world.clock.advance(100);
    slow.beforeAnswer = () => world.clock.sleep(1_000);
    for (let i = 1; i <= 20; i += 1) {
      world.source.commit('acme', { leaves: { a: String(i) } });
      await world.clock.advance(10);
      expect(fast.active.get('acme')).toBe(BigInt(i));
    }
    const before = slow.responses.length;
    await world.clock.advance(10_000);
    expect(slow.active.get('acme')).toBe(20n);
    expect(slow.responses.length - before).toBeLessThanOrEqual(3);
  });

  it('stops: ends every stream and takes no new one', async () => {
    const world = new Simulation();
    const { stream, ends } = listen(world);
    stream.send(firstRequest());
    await world.clock.advance(50);
    world.server.stop();
    const late = listen(world);
    await world.clock.advance(50);
    expect([...ends, ...late.ends]).toEqual([
      '14 the server is stopping: reconnect',
      '14 the server is stopping: reconnect',
    ]);
  });
});

/** A client that answers when it is told to, and that knows what it holds of what came. */
class SlowClient {
  readonly held = new Map<string, string>();
  readonly #world: Simulation;
  readonly #stream: ClientStream;
  #unanswered: { readonly typeUrl: string; readonly nonce: string }[] = [];

  constructor(world: Simulation) {
    this.#world = world;
    this.#stream = world.transport('all').open({
      onAccepted: () => undefined,
      onResponse: ({ typeUrl, nonce, resources, removedResources }) => {
        this.#unanswered.push({ typeUrl, nonce });
        for (const { name, version } of resources) this.held.set(name, version);
        for (const name of removedResources) this.held.delete(name);
      },
      onEnd: () => undefined,
    });
  }

  async ask(typeUrl: string, { add = [], drop = [] }: { readonly add?: string[]; readonly drop?: string[] }) {
    const names = (collections: string[]) => collections.map((collection) => testName(typeUrl, collection, '*'));
    const [resourceNamesSubscribe, resourceNamesUnsubscribe] = [names(add), names(drop)];
    const request = { node: { id: 'slow' }, typeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe };
    this.#stream.send(create(DeltaDiscoveryRequestSchema, request));
    await this.#world.clock.advance(10);
  }

  async answer(): Promise<boolean> {
    const [response, ...rest] = this.#unanswered;
    if (!response) return false;
    this.#unanswered = rest;
    const { typeUrl, nonce: responseNonce } = response;
    this.#stream.send(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce }));
    await this.#world.clock.advance(10);
    return true;
  }

  async answerAll(): Promise<void> {
    while (await this.answer());
  }
}

describe('a client that gives a collection up and asks for it again while it owes an answer', () => {
  it('misses nothing of what changed meanwhile', async () => {
    const world = new Simulation(1, 0);
    world.source.commit('acme', { leaves: { a: '1' } });
    const client = new SlowClient(world);
    await client.ask(leafType, { add: ['acme', 'globex'] });
    world.source.commit('acme', { leaves: { a: '2' } });
    await client.ask(leafType, { drop: ['acme'] });
    world.source.commit('acme', { leaves: { b: '1' } });
    await client.ask(leafType, { add: ['acme'] });
    await client.answerAll();
    const { held } = client;
    expect([held.get(testName(leafType, 'acme', 'a')), held.get(testName(leafType, 'acme', 'b'))]).toEqual(['2', '1']);
  });

  it('is not said to run what it was never sent [60]', async () => {
    const world = new Simulation(1, 0);
    world.source.commit('acme', { leaves: { a: '1' } });
    const client = new SlowClient(world);
    await client.ask(sealType, { add: ['acme'] });
    await client.ask(sealType, { drop: ['acme'] });
    world.source.commit('acme', { leaves: { a: '2' } });
    await client.ask(sealType, { add: ['acme'] });
    await client.answer();
    const said = () => world.observer.log.filter((line) => /^(sent|acked)/.test(line));
    expect(said()).toContain('acked slow acme@1');
    expect(said()).not.toContain('acked slow acme@2');
    await client.answerAll();
    expect(said().at(-1)).toBe('acked slow acme@2');
  });
});
