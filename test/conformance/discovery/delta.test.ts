// Items 26 to 47 of the acceptance list, on delta streams of a real control plane. Subscribers have the native family
// where nothing else is said.
import { Metrics, systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { createAdsServer, GrpcServer } from '@signalbox/xds';
import { leafType, MemorySource, testFamily, testName } from '@signalbox/xds/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it, onTestFinished } from 'vitest';
import { type ControlPlane, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType } from './native-names.ts';
import { type DeltaAnswer, type DeltaRequest, DeltaStream, StateStream, type Subscriber } from './raw-stream.ts';
import { endpointsType } from './test-family.ts';
import { Witness } from './witness.ts';

const maxResponseBytes = 8 * 1024;

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'), { SIGNALBOX_DISCOVERY_RESPONSE: String(maxResponseBytes) });
});
afterAll(() => plane[Symbol.asyncDispose]());

let tenant: string;
let to: Subscriber;
let open: { cancel(): void }[] = [];
beforeEach(async () => {
  tenant = await plane.tenant();
  to = await plane.subscriber({ tenants: [tenant] });
});
afterEach(() => {
  for (const stream of open) stream.cancel();
  open = [];
});

function stream(subscriber = to): DeltaStream {
  const opened = new DeltaStream(subscriber);
  open.push(opened);
  return opened;
}

const name = (short: string) => backendName(tenant, short);

/** Commits, and waits until every stream has been offered it. */
async function commit(texts: Readonly<Record<string, string | null>>): Promise<void> {
  const witness = await Witness.of(to, backendType);
  await plane.backends(tenant, texts);
  await witness.sees(name(Object.keys(texts)[0] ?? ''));
  witness.close();
}

/** A stream whose first request was answered, and the answer acknowledged. */
async function following(request: DeltaRequest = {}): Promise<{ stream: DeltaStream; first: DeltaAnswer }> {
  const opened = stream();
  const first = await opened.ask({ typeUrl: backendType, ...request });
  opened.ack(first);
  return { stream: opened, first };
}

/** Versions that a subscriber with a wildcard holds. */
async function held(): Promise<Record<string, string>> {
  const { stream: once, first } = await following();
  once.cancel();
  return { ...first.versions };
}

it('26. A first request that names nothing is a wildcard, answered even if there is nothing.', async () => {
  const empty = await following();
  expect(empty.first).toMatchObject({ typeUrl: backendType, names: [], removed: [] });
  await commit({ a: '1' });
  expect((await empty.stream.next()).names).toEqual([name('a')]);
});

it('27. A wildcard may be explicit; taken back in the same request it brings nothing, then or later.', async () => {
  await commit({ a: '1' });
  expect((await following({ resourceNamesSubscribe: ['*'] })).first.names).toEqual([name('a')]);
  const onDemand = stream();
  const both = { resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] };
  onDemand.send({ node: { id: 'node-1', cluster: 'default' }, typeUrl: backendType, ...both });
  expect(await onDemand.fence()).toEqual([]);
  await commit({ a: '2', b: '2' });
  expect(await onDemand.fence()).toEqual([]);
});

it('28. A name beside the wildcard of a first request adds to it.', async () => {
  await commit({ a: '1' });
  const { stream: both } = await following();
  both.send({ typeUrl: backendType, resourceNamesSubscribe: [name('a')] });
  both.ack(await both.next());
  await commit({ b: '1' });
  expect((await both.next()).names).toEqual([name('b')]);
});

it('29. An update is a response with the one resource, its new version and a new nonce.', async () => {
  await commit({ a: '1', b: '1' });
  const { stream: wildcard, first } = await following();
  await commit({ a: '2' });
  const second = await wildcard.next();
  expect(second.names).toEqual([name('a')]);
  expect(second.versions[name('a')]).not.toBe(first.versions[name('a')]);
  expect(second.nonce).not.toBe(first.nonce);
});

it('30. What is deleted is removed by name, once, on streams that could see it.', async () => {
  await commit({ a: '1', b: '1' });
  const blind = await plane.tenant();
  const elsewhere = stream(await plane.subscriber({ tenants: [blind] }));
  elsewhere.ack(await elsewhere.ask({ typeUrl: backendType }));
  const { stream: wildcard } = await following();
  await commit({ a: null });
  const removal = await wildcard.next();
  expect(removal).toMatchObject({ names: [], removed: [name('a')] });
  wildcard.ack(removal);
  await commit({ b: '2' });
  const next = await wildcard.next();
  expect(next.removed).toEqual([]);
  expect(await elsewhere.fence()).toEqual([]);
});

it('31. A missing name is answered as removed at once, stays subscribed, and is sent when it is created.', async () => {
  const { stream: early, first } = await following({ resourceNamesSubscribe: [name('late')] });
  expect(first).toMatchObject({ names: [], removed: [name('late')] });
  await commit({ late: '1', other: '1' });
  expect((await early.next()).names).toEqual([name('late')]);
});

it('32. A name that is subscribed again is sent again, changed or not.', async () => {
  await commit({ a: '1' });
  const request = { typeUrl: backendType, resourceNamesSubscribe: [name('a')] };
  const { stream: named, first } = await following(request);
  named.send(request);
  expect((await named.next()).versions).toEqual(first.versions);
});

it('33. To unsubscribe an unknown name does nothing, and the stream goes on.', async () => {
  await commit({ a: '1' });
  const { stream: wildcard } = await following();
  wildcard.send({ typeUrl: backendType, resourceNamesUnsubscribe: ['nobody'] });
  expect(await wildcard.fence()).toEqual([]);
  await commit({ a: '2' });
  expect((await wildcard.next()).names).toEqual([name('a')]);
});

it.each([
  { what: 'with the resource', to: '2', names: ['a'], removed: [] },
  { what: 'with its removal', to: null, names: [], removed: ['a'] },
])('34. To unsubscribe a name under a wildcard is answered $what.', async ({ to: text, names, removed }) => {
  await commit({ a: '1' });
  const { stream: both } = await following({ resourceNamesSubscribe: ['*', name('a')] });
  await commit({ a: text });
  both.ack(await both.next());
  both.send({ typeUrl: backendType, resourceNamesUnsubscribe: [name('a')] });
  expect(await both.next()).toMatchObject({ names: names.map(name), removed: removed.map(name) });
});

it('35. To unsubscribe otherwise is not answered, and ends the updates.', async () => {
  await commit({ a: '1' });
  const { stream: named } = await following({ resourceNamesSubscribe: [name('a')] });
  named.send({ typeUrl: backendType, resourceNamesUnsubscribe: [name('a')] });
  expect(await named.fence()).toEqual([]);
  await commit({ a: '2' });
  expect(await named.fence()).toEqual([]);
});

it.each(['stale', 'never sent'])(
  '36. Names count under a nonce that was %s; as an answer it does not.',
  async (nonce) => {
    await commit({ a: '1', b: '1' });
    const { stream: named, first } = await following({ resourceNamesSubscribe: [name('a')] });
    named.send({ typeUrl: backendType, resourceNamesSubscribe: [name('a')] });
    const unanswered = await named.next();
    const responseNonce = nonce === 'stale' ? first.nonce : nonce;
    named.send({ typeUrl: backendType, responseNonce, resourceNamesSubscribe: [name('b')] });
    // Still one response unanswered: nothing more may come.
    expect(await named.fence()).toEqual([]);
    named.ack(unanswered);
    expect((await named.next()).names).toEqual([name('b')]);
  },
);

it('37. A NACK that also subscribes is honoured: the names are answered.', async () => {
  await commit({ a: '1', b: '1' });
  const refusing = stream();
  const first = await refusing.ask({ typeUrl: backendType, resourceNamesSubscribe: [name('a')] });
  refusing.ack(first, { errorDetail: { code: 0, message: 'no' }, resourceNamesSubscribe: [name('b')] });
  expect((await refusing.next()).names).toEqual([name('b')]);
});

it('38. Of what is held in its present version nothing is sent; the answer to a wildcard is empty.', async () => {
  await commit({ a: '1', b: '1' });
  const initialResourceVersions = await held();
  const { first } = await following({ initialResourceVersions });
  expect(first).toMatchObject({ names: [], removed: [] });
});

it('39. Of what is held in an outdated version only that is sent.', async () => {
  await commit({ a: '1', b: '1' });
  const initialResourceVersions = { ...(await held()), [name('b')]: 'outdated' };
  const { first } = await following({ initialResourceVersions });
  expect(first).toMatchObject({ names: [name('b')], removed: [] });
});

it('40. What is held and has gone is removed.', async () => {
  await commit({ a: '1', b: '1' });
  const initialResourceVersions = await held();
  await commit({ b: null });
  const { first } = await following({ initialResourceVersions });
  expect(first).toMatchObject({ names: [], removed: [name('b')] });
});

it('41. On another replica held versions mean the same.', async () => {
  await commit({ a: '1', b: '1' });
  const initialResourceVersions = { ...(await held()), [name('gone')]: 'x' };
  await using replica = await plane.replica();
  const moved = stream({ ...to, address: replica.address });
  const first = await moved.ask({ typeUrl: backendType, initialResourceVersions });
  expect(first).toMatchObject({ names: [], removed: [name('gone')] });
});

it('42. Held versions are knowledge only: with names nothing else is sent.', async () => {
  await commit({ a: '1', b: '1' });
  const initialResourceVersions = { [name('b')]: 'outdated', [name('gone')]: 'x' };
  const { stream: named, first } = await following({ initialResourceVersions, resourceNamesSubscribe: [name('a')] });
  expect(first).toMatchObject({ names: [name('a')], removed: [] });
  await commit({ b: '2' });
  expect(await named.fence()).toEqual([]);
});

it('43. Every response has a type and a nonce of its own.', async () => {
  const { stream: wildcard, first } = await following();
  const answers = [first];
  for (const text of ['1', '2', '3']) {
    await commit({ a: text });
    const answer = await wildcard.next();
    wildcard.ack(answer);
    answers.push(answer);
  }
  expect(answers.every(({ typeUrl, nonce }) => typeUrl === backendType && nonce !== '')).toBe(true);
  expect(new Set(answers.map(({ nonce }) => nonce)).size).toBe(answers.length);
});

it('44. A glob follows present and future members; an empty one is answered with its own name.', async () => {
  const glob = name('*');
  const nowhere = backendName('nowhere', '*');
  const { stream: members, first } = await following({ resourceNamesSubscribe: [glob, nowhere] });
  expect(first).toMatchObject({ names: [], removed: [glob, nowhere] });
  await commit({ a: '1' });
  const created = await members.next();
  expect(created.names).toEqual([name('a')]);
  members.ack(created);
  await commit({ a: null });
  expect((await members.next()).removed).toEqual([name('a')]);
});

// No name that the control plane makes has parameters: this is the same server on a socket, with a source in memory.
it('45. Names that differ in the order of their parameters are equal, and answered as they were asked for.', async () => {
  const source = new MemorySource();
  source.commit('acme', { leaves: { 'a?x=1&y=2': '1' } });
  const memory = stream({ address: await serveMemory(source), token: 'any' });
  const asked = `${testName(leafType, 'acme', 'a')}?y=2&x=1`;
  const first = await memory.ask({ typeUrl: leafType, resourceNamesSubscribe: [asked] });
  expect(first.names).toEqual([asked]);
  memory.ack(first);
  source.commit('acme', { leaves: { 'a?x=1&y=2': '2' } });
  expect((await memory.next()).versions).toEqual({ [asked]: '2' });
});

async function serveMemory(source: MemorySource): Promise<string> {
  const ads = createAdsServer({
    families: [{ family: testFamily, source }],
    authenticate: async () => ({
      identity: { credentialId: 'any', name: 'any' },
      family: testFamily.name,
      collections: 'all',
    }),
    observer: { opened() {}, heard() {}, sent() {}, acked() {}, nacked() {}, closed() {} },
    ...{ clock: systemClock, random: systemRandom, logger: new MemoryLogger(), metrics: new Metrics() },
    limits: {
      ...{ maxTypesPerStream: 8, maxNamesPerStream: 100, maxStreams: 10, streamsPerSecond: 100, streamBurst: 10 },
      ...{ maxRequestBytes: 1 << 16, maxResponseBytes: 1 << 16, maxStreamAgeMs: 600_000, streamAgeJitter: 0 },
      ...{
        streamAgeGraceMs: 1_000,
        handshakeTimeoutMs: 5_000,
        authenticationCheckMs: 30_000,
        lateRemovalMs: 5_000,
        answerTimeoutMs: 60_000,
      },
      ...{ keepaliveIntervalMs: 10_000, keepaliveTimeoutMs: 5_000 },
    },
  });
  const server = new GrpcServer({ clock: systemClock, limits: ads.connectionLimits });
  ads.addTo(server);
  onTestFinished(() => {
    ads.stop();
    server.destroy();
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  return `127.0.0.1:${port}`;
}

// Native resources have no time to live: these subscribers have the test family.
it('46. A heartbeat renews without a body, goes only to clients that support it, and is no update.', async () => {
  await commit({ a: '1' });
  const leasing = await plane.subscriber({ tenants: [tenant], family: 'test' });
  const clientFeatures = ['xds.config.supports-resource-ttl'];
  const supporting = stream(leasing);
  const node = { id: `leasing-${tenant}`, cluster: 'default', clientFeatures };
  const first = await supporting.ask({ typeUrl: endpointsType, node });
  expect(first).toMatchObject({ names: [`${tenant}.a`], ttls: [60_000] });
  const plain = stream(leasing);
  const untold = await plain.ask({ typeUrl: endpointsType }, `plain-${tenant}`);
  expect(untold.ttls).toEqual([undefined]);
  plain.ack(untold);
  const before = await plane.metric('signalbox_discovery_responses_total');
  supporting.ack(first);
  for (let beats = 0; beats < 3; beats += 1) {
    const beat = await supporting.next();
    expect(beat).toMatchObject({ versions: first.versions, innerTypes: [''], bodies: [''], ttls: [60_000] });
    supporting.ack(beat);
  }
  expect(await plane.metric('signalbox_discovery_responses_total')).toBe(before);
  expect(await plain.fence()).toEqual([]);
});

it('46. On a state-of-the-world stream leased resources travel in an envelope, for clients that know both.', async () => {
  await commit({ a: '1' });
  const leasing = await plane.subscriber({ tenants: [tenant], family: 'test' });
  const envelope = 'type.googleapis.com/envoy.service.discovery.v3.Resource';
  const ask = async (id: string, clientFeatures: string[]) => {
    const opened = new StateStream(leasing);
    open.push(opened);
    const node = { id: `${id}-${tenant}`, cluster: 'default', clientFeatures };
    const answer = await opened.ask({ typeUrl: endpointsType, resourceNames: ['*'], node });
    opened.ack(answer, ['*']);
    return { opened, answer };
  };
  const text = new RegExp(`${tenant}\\.a [0-9a-f]{16}`);
  const leases = 'xds.config.supports-resource-ttl';
  const { opened, answer } = await ask('both', [leases, 'xds.config.supports-resource-in-sotw']);
  expect(answer).toMatchObject({ innerTypes: [envelope], bodies: [expect.stringMatching(text)] });
  for (let beats = 0; beats < 3; beats += 1) {
    const beat = await opened.next();
    expect(beat).toMatchObject({ innerTypes: [envelope], bodies: [expect.stringContaining(`${tenant}.a`)] });
    expect(beat.bodies[0]).not.toMatch(text);
    opened.ack(beat, ['*']);
  }
  const plain = await ask('plain', [leases]);
  expect(plain.answer.innerTypes).toEqual([endpointsType]);
  expect(await plain.opened.fence()).toEqual([]);
});

it('47. A response above the limit is split: same type, rising nonces, removals last, each part below it.', async () => {
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`b${i}`, `${'x'.repeat(100)}${i}`]));
  await commit(many);
  const gone = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [name(`gone-${i}`), '1']));
  const large = stream();
  const parts = [await large.ask({ typeUrl: backendType, initialResourceVersions: gone })];
  while (parts.flatMap(({ removed }) => removed).length < 60) {
    large.ack(parts.at(-1) as DeltaAnswer);
    parts.push(await large.next());
  }
  expect(parts.length).toBeGreaterThan(2);
  expect(parts.flatMap(({ names }) => names)).toHaveLength(60);
  expect(parts.every(({ typeUrl, bytes }) => typeUrl === backendType && bytes < maxResponseBytes)).toBe(true);
  const firstRemoval = parts.findIndex(({ removed }) => removed.length > 0);
  expect(parts.slice(firstRemoval + 1).flatMap(({ names }) => names)).toEqual([]);
  const nonces = parts.map(({ nonce }) => Number(nonce));
  expect(nonces).toEqual(nonces.toSorted((a, b) => a - b));
});
