// Items 54 to 60 and 63 of the acceptance list, on a real control plane.
import { fromBinary } from '@bufbuild/protobuf';
import { NodePropagation_State } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { Secret, systemClock, systemRandom } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { until } from '@signalbox/test-harness';
import { AdsClient, type ClientHandler } from '@signalbox/xds';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type ControlPlane, nodeStatus, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType } from './native-names.ts';
import { type DeltaAnswer, DeltaStream, type Subscriber } from './raw-stream.ts';
import { Witness } from './witness.ts';

const resourceExhausted = 8;

let plane: ControlPlane;
beforeAll(async () => {
  // Nobody waits for what other tests have left behind.
  plane = await startControlPlaneFor(inject('pgUrl'), { SIGNALBOX_NODES_RETURN: '0' });
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

async function following(id = 'node-1', subscriber = to): Promise<DeltaStream> {
  const opened = stream(subscriber);
  opened.ack(await opened.ask({ typeUrl: backendType }, id));
  return opened;
}

const name = (short: string) => backendName(tenant, short);
const manifestOf = (of: string) => backendName(of, 'current').replace('.Backend/', '.Manifest/');

/** The revision that a Manifest in a response states. */
function revisionIn(answer: DeltaAnswer, of = tenant): bigint | undefined {
  const at = answer.names.indexOf(manifestOf(of));
  return at < 0 ? undefined : fromBinary(ManifestSchema, Buffer.from(answer.bodies[at] ?? '', 'hex')).revision;
}

/** Commits, and waits until every stream has been offered it. */
async function commit(texts: Readonly<Record<string, string | null>>): Promise<bigint> {
  const witness = await Witness.of(to, backendType);
  const revision = await plane.backends(tenant, texts);
  await witness.sees(name(Object.keys(texts)[0] ?? ''));
  witness.close();
  return revision;
}

/** Reads and acknowledges until a resource with a text arrives. @returns how many responses that took. */
async function untilText(from: DeltaStream, text: string): Promise<number> {
  const wanted = Buffer.from(`/${text}`).toString('hex');
  for (let count = 1; ; count += 1) {
    const answer = await from.next();
    from.ack(answer);
    if (answer.bodies.some((body) => body.includes(wanted))) return count;
  }
}

it('54. A change of one tenant puts not a byte on streams that do not carry it.', async () => {
  const other = await plane.tenant();
  const elsewhere = await following('elsewhere', await plane.subscriber({ tenants: [other] }));
  await elsewhere.fence();
  for (const text of ['1', '2', '3']) await commit({ a: text });
  expect(await elsewhere.fence()).toEqual([]);
});

it('55. A consumer that does not read has one response on its way, and holds nobody up.', async () => {
  const slow = await following('slow');
  const fast = await following('fast');
  await commit({ a: '0' });
  // Two answers of data are due by now: one that slow leaves unanswered, and what comes after that.
  const unanswered = await slow.next();
  slow.pause();
  await untilText(fast, '0');
  for (let i = 1; i <= 20; i += 1) {
    await plane.backends(tenant, { a: `${i}`, [`b${i}`]: 'x'.repeat(1_000) });
    await untilText(fast, `${i}`);
  }
  slow.resume();
  expect(await slow.fence()).toEqual([]);
  slow.ack(unanswered);
  const folded = await slow.next();
  expect(folded.names).toHaveLength(21);
  const newest = await stream().ask({ typeUrl: backendType });
  expect(newest.versions).toMatchObject(folded.versions);
});

const quietMs = 200;
const changes = 200;

it('56. Hundreds of changes in a burst are a few responses, as many as the debounce lets through, the last one final.', async () => {
  await using bursty = await startControlPlaneFor(inject('pgUrl'), {
    SIGNALBOX_PUBLISH_QUIET: String(quietMs),
    SIGNALBOX_PUBLISH_MAX: String(quietMs),
  });
  const busy = await bursty.tenant();
  const node = await following('node-1', await bursty.subscriber({ tenants: [busy] }));
  const startedMs = systemClock.monotonic();
  let done = 0;
  // As fast as the row lock of the one tenant lets them.
  const writer = async () => {
    while (done < changes) {
      done += 1;
      // All wait for one row: on a machine that is busy some wait for too long, and are no change.
      await bursty.backends(busy, { a: `${done}` }).catch(() => undefined);
    }
  };
  await Promise.all(Array.from({ length: 10 }, writer));
  await bursty.backends(busy, { a: 'final' });
  const tookMs = systemClock.monotonic() - startedMs;
  const responses = await untilText(node, 'final');
  expect(responses).toBeLessThanOrEqual((tookMs + quietMs) / quietMs + 1);
});

it('57. The debounce is on the leading edge: a change that stands alone is sent without delay.', async () => {
  const longQuietMs = 10_000;
  await using calm = await plane.replica({
    SIGNALBOX_PUBLISH_QUIET: String(longQuietMs),
    SIGNALBOX_PUBLISH_MAX: String(longQuietMs),
  });
  const node = await following('node-1', { ...to, address: calm.address });
  await plane.backends(tenant, { a: 'alone' });
  const quiet = Promise.withResolvers<string>();
  using _quiet = systemClock.timer(longQuietMs, () => quiet.resolve('the quiet time was waited for'));
  const sent = untilText(node, 'alone').then(() => 'sent at once');
  expect(await Promise.race([sent, quiet.promise])).toBe('sent at once');
});

it('58. A storm of reconnects is let in at a bounded rate; all arrive in the end, and nobody who is there waits.', async () => {
  const [perSecond, burst, storm] = [5, 10, 30];
  await using guarded = await startControlPlaneFor(inject('pgUrl'), {
    SIGNALBOX_DISCOVERY_ADMISSION: String(perSecond),
    SIGNALBOX_DISCOVERY_BURST: String(burst),
  });
  const busy = await guarded.tenant();
  const subscriber = await guarded.subscriber({ tenants: [busy] });
  const there = await following('there', subscriber);

  const startedMs = performance.now();
  const early = Array.from({ length: storm }, (_, i) => {
    const one = stream(subscriber);
    one.send({ node: { id: `early-${i}`, cluster: 'default' }, typeUrl: backendType });
    return Promise.race([one.ended, one.next().then(() => undefined)]);
  });
  const refusals = (await Promise.all(early)).flatMap((end) => end ?? []);
  // However slow this machine is, more than the rule allows were not let in.
  const allowed = burst + Math.ceil(((performance.now() - startedMs) / 1_000) * perSecond);
  expect(storm - refusals.length).toBeLessThanOrEqual(allowed);
  for (const { code, pushback } of refusals) {
    expect(code).toBe(resourceExhausted);
    expect(Number(pushback)).toBeGreaterThan(0);
  }

  // Nodes that honour the pushback.
  const arrived = new Set<string>();
  const clients = Array.from({ length: storm }, (_, i) => stormNode(subscriber, `storm-${i}`, arrived));
  for (const client of clients) client.start();
  await guarded.backends(busy, { a: 'meanwhile' });
  await untilText(there, 'meanwhile');
  await until('all nodes to arrive', () => (arrived.size === clients.length ? true : undefined), 30_000);
  await Promise.all(clients.map((client) => client.stop()));
  const deferred = await guarded.metric('signalbox_discovery_deferred_streams_total');
  expect(deferred).toBeGreaterThanOrEqual(refusals.length);
});

it('58. A replica takes only so many streams; who comes too many is told to come back.', async () => {
  await using small = await plane.replica({ SIGNALBOX_DISCOVERY_STREAMS: '3' });
  const place = { ...to, address: small.address };
  for (const id of ['one', 'two', 'three']) await following(id, place);
  const fourth = stream(place);
  fourth.send({ node: { id: 'four', cluster: 'default' }, typeUrl: backendType });
  const end = await fourth.ended;
  expect([end.code, Number(end.pushback) > 0]).toEqual([resourceExhausted, true]);
});

/** A node of ours that notes that it was served. */
function stormNode({ address, token }: Subscriber, id: string, arrived: Set<string>): AdsClient {
  const handler: ClientHandler = {
    heldVersions: () => new Map(),
    onResponse: async () => {
      arrived.add(id);
      return [];
    },
    onConnection: () => undefined,
  };
  return new AdsClient({
    ...{ address, handler, token: new Secret(token), types: [backendType] },
    node: { id, cluster: 'default', userAgentName: 'test', userAgentVersion: '1', metadata: {} },
    ...{ clock: systemClock, random: systemRandom, logger: new MemoryLogger() },
    backoff: { minMs: 5, maxMs: 50, stableAfterMs: 1_000 },
    limits: {
      ...{
        maxResponseBytes: 4 << 20,
        connectTimeoutMs: 10_000,
        keepaliveIntervalMs: 10_000,
        keepaliveTimeoutMs: 5_000,
      },
    },
  });
}

/** A node that has everything, the Manifest included. */
async function nodeWithAll(id: string): Promise<DeltaStream> {
  const node = stream();
  const at = { id, cluster: 'default' };
  for (const typeUrl of [backendType, manifestType]) node.send({ node: at, typeUrl });
  for (const _ of [backendType, manifestType]) node.ack(await node.next());
  await node.fence();
  return node;
}

/** Acknowledges, or answers as told, until the Manifest of a revision has been answered. */
async function follow(
  node: DeltaStream,
  revision: bigint,
  answer = (one: DeltaAnswer) => node.ack(one),
): Promise<void> {
  for (;;) {
    const next = await node.next();
    answer(next);
    if (revisionIn(next) === revision) return void (await node.fence());
  }
}

it('59. What one node refuses reaches the others, and the API says who refuses what of which revision, and why.', async () => {
  await commit({ a: '0' });
  const [bad, good] = [`bad-${tenant}`, `good-${tenant}`];
  const refusing = await nodeWithAll(bad);
  const accepting = await nodeWithAll(good);
  const revision = await commit({ a: '1' });
  await follow(accepting, revision);
  const message = JSON.stringify([{ name: name('a'), error: 'cannot do that' }]);
  await follow(refusing, revision, (one) => refusing.nack(one, message));
  expect((await nodeStatus(plane.admin, bad)).lastNack).toMatchObject({
    ...{ scope: tenant, revision, current: true },
    refusals: [{ type: 'Backend', resource: 'a', message: 'cannot do that' }],
  });
  const applied = (await nodeStatus(plane.admin, good)).scopes.find(({ scope }) => scope === tenant);
  expect(applied).toMatchObject({ desiredRevision: revision, appliedRevision: revision });
  const next = await commit({ a: '2' });
  await follow(accepting, next);
});

/** What the API says now of a revision. */
async function propagation(revision: bigint, of: readonly string[]) {
  const { propagation: report } = await plane.admin.config.getPropagation({ scope: tenant, revision });
  const asked = report?.nodes.filter(({ node }) => of.includes(node)) ?? [];
  const states = Object.fromEntries(asked.map(({ node, state }) => [node, state]));
  return { states, done: report?.done, committed: report?.committedAt !== undefined };
}

it('60. Committed, sent, acknowledged and refused can be asked for; done is exact, also when nodes reconnect.', async () => {
  await commit({ a: '0' });
  const [one, two] = [`one-${tenant}`, `two-${tenant}`];
  const first = await nodeWithAll(one);
  const second = await nodeWithAll(two);
  const revision = await commit({ a: '1' });
  await follow(first, revision);
  expect(await propagation(revision, [one, two])).toEqual({
    states: { [one]: NodePropagation_State.APPLIED, [two]: NodePropagation_State.SENT },
    done: false,
    committed: true,
  });
  // The data is acknowledged; the Manifest that makes it active came behind it and is not answered.
  second.ack(await second.next());
  const manifest = await second.next();
  expect(revisionIn(manifest)).toBe(revision);
  expect(await propagation(revision, [one, two])).toMatchObject({
    states: { [two]: NodePropagation_State.SENT },
    done: false,
  });
  // A node that comes back has proved nothing yet, although it held the revision before.
  first.cancel();
  await until('the node to be gone', async () => ((await nodeStatus(plane.admin, one)).connected ? undefined : true));
  const again = stream();
  again.ack(await again.ask({ typeUrl: backendType }, one));
  await again.fence();
  second.ack(manifest);
  await second.fence();
  expect(await propagation(revision, [one, two])).toEqual({
    states: { [one]: NodePropagation_State.PENDING, [two]: NodePropagation_State.APPLIED },
    done: false,
    committed: true,
  });
  again.ack(await again.ask({ typeUrl: manifestType }, one));
  await again.fence();
  expect(await propagation(revision, [one, two])).toMatchObject({
    states: { [one]: NodePropagation_State.APPLIED, [two]: NodePropagation_State.APPLIED },
    done: true,
  });
});

it('63. A rollback is a new revision with the old content; what is the same in both is not sent.', async () => {
  const before = await commit({ a: 'old', b: 'same' });
  const node = await nodeWithAll('rolling');
  const held = await stream().ask({ typeUrl: backendType });
  await follow(node, await commit({ a: 'new' }));
  const { revision } = await plane.admin.config.rollback({ scope: tenant, toRevision: before });
  expect(revision).toBe(before + 2n);
  const data = await node.next();
  expect(data).toMatchObject({ names: [name('a')], removed: [] });
  expect(data.versions[name('a')]).toBe(held.versions[name('a')]);
  node.ack(data);
  expect(revisionIn(await node.next())).toBe(revision);
});
