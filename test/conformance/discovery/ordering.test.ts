// Items 48 to 53 of the acceptance list, on a real control plane. Where types have to follow each other the subscribers
// have the test family, whose types behave like those of Envoy.
import { fromBinary } from '@bufbuild/protobuf';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { backend, type ControlPlane, route, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType, routeType } from './native-names.ts';
import { type DeltaAnswer, DeltaStream, type StateAnswer, StateStream, type Subscriber } from './raw-stream.ts';
import { clusterType, endpointsType, listenerType, routesType } from './test-family.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'));
});
afterAll(() => plane[Symbol.asyncDispose]());

let tenant: string;
let foreign: Subscriber;
let native: Subscriber;
let open: { cancel(): void }[] = [];
beforeEach(async () => {
  tenant = await plane.tenant();
  foreign = await plane.subscriber({ tenants: [tenant], family: 'test' });
  native = await plane.subscriber({ tenants: [tenant] });
});
afterEach(() => {
  for (const stream of open) stream.cancel();
  open = [];
});

function delta(to: Subscriber): DeltaStream {
  const opened = new DeltaStream(to);
  open.push(opened);
  return opened;
}

function state(): StateStream {
  const opened = new StateStream(foreign);
  open.push(opened);
  return opened;
}

const order = [clusterType, endpointsType, listenerType, routesType];
const name = (short: string) => `${tenant}.${short}`;

/** One transaction that touches every type. */
function writeAll(text: string, to = 'x', remove: readonly string[] = []) {
  const [virtualServer, , policy] = route(tenant, 'r', to);
  const spec = { gateway: 'default', match: { path: `/${tenant}/${text}` }, mcp: { virtualServer: 'r' } };
  return plane.admin.config.apply({
    scope: tenant,
    resources: [backend(tenant, to, text), virtualServer, policy, { kind: 'Route', tenant, name: 'r', spec }].flatMap(
      (one) => one ?? [],
    ),
    delete: remove.map((each) => ({ kind: 'Backend', name: each })),
  });
}

/** Subscribes to every type by wildcard, and acknowledges until it has what is there. */
async function followingDelta(): Promise<DeltaStream> {
  const stream = delta(foreign);
  for (const typeUrl of order) stream.send({ node: { id: 'node-1', cluster: 'default' }, typeUrl });
  const seen = new Set<string>();
  while (seen.size < order.length) {
    const answer = await stream.next();
    stream.ack(answer);
    if (answer.names.length > 0) seen.add(answer.typeUrl);
  }
  await stream.fence();
  return stream;
}

async function followingState(): Promise<StateStream> {
  const stream = state();
  for (const typeUrl of order) {
    stream.send({ node: { id: 'node-1', cluster: 'default' }, typeUrl, resourceNames: ['*'] });
  }
  const seen = new Set<string>();
  while (seen.size < order.length) {
    const answer = await stream.next();
    stream.ack(answer, ['*']);
    if (answer.bodies.length > 0) seen.add(answer.typeUrl);
  }
  for (const answer of await stream.fence()) stream.ack(answer, ['*']);
  return stream;
}

it('48. What one transaction changes is sent as clusters, endpoints, listeners, routes, on every stream.', async () => {
  await writeAll('one');
  const [one, other] = [await followingDelta(), await followingState()];
  await writeAll('two', 'y');
  const types: string[][] = [[], []];
  for (const _ of order) {
    types[0]?.push((await one.next()).typeUrl);
    types[1]?.push((await other.next()).typeUrl);
  }
  expect(types).toEqual([order, order]);
});

it('49. What replaces is added, what refers moves, and only then what is replaced goes (delta).', async () => {
  await writeAll('one', 'x');
  const stream = await followingDelta();
  await writeAll('two', 'y', ['x']);
  const answers: DeltaAnswer[] = [];
  for (const _ of order) answers.push(await stream.next());
  expect(answers.map(({ typeUrl, removed }) => ({ typeUrl, removed }))).toEqual(
    order.map((typeUrl) => ({ typeUrl, removed: [] })),
  );
  const [clusters, endpoints, listeners, routes] = answers as [DeltaAnswer, DeltaAnswer, DeltaAnswer, DeltaAnswer];
  expect(clusters.names).toEqual([name('y')]);
  for (const answer of [clusters, endpoints, listeners]) stream.ack(answer);
  // The routes have been sent, but nobody knows yet that they have moved.
  expect(await stream.fence()).toEqual([]);
  stream.ack(routes);
  const first = await stream.next();
  expect(first).toMatchObject({ typeUrl: endpointsType, names: [], removed: [name('x')] });
  stream.ack(first);
  expect(await stream.next()).toMatchObject({ typeUrl: clusterType, names: [], removed: [name('x')] });
});

it('49. What replaces is added, what refers moves, and only then what is replaced goes (state of the world).', async () => {
  await writeAll('one', 'x');
  const stream = await followingState();
  await writeAll('two', 'y', ['x']);
  const answers: StateAnswer[] = [];
  for (const _ of order) answers.push(await stream.next());
  const clustersIn = ({ bodies }: StateAnswer) => bodies.map((body) => body.split(' ')[0] ?? '').sort();
  expect(clustersIn(answers[0] as StateAnswer)).toEqual([name('x'), name('y')]);
  for (const answer of answers.slice(0, 3)) stream.ack(answer, ['*']);
  expect(await stream.fence()).toEqual([]);
  stream.ack(answers[3] as StateAnswer, ['*']);
  let last = await stream.next();
  while (last.typeUrl !== clusterType) {
    stream.ack(last, ['*']);
    last = await stream.next();
  }
  expect(clustersIn(last)).toEqual([name('y')]);
});

it('49. What is replaced goes after a while, too, when nobody says that what referred to it has moved.', async () => {
  await using hasty = await startControlPlaneFor(inject('pgUrl'), { SIGNALBOX_DISCOVERY_REMOVAL: '200' });
  const owner = await hasty.tenant();
  const to = await hasty.subscriber({ tenants: [owner], family: 'test' });
  await hasty.backends(owner, { x: '1' });
  const stream = delta(to);
  const clusters = { node: { id: 'node-1', cluster: 'default' }, typeUrl: clusterType };
  let held = await stream.ask(clusters);
  stream.ack(held);
  while (!held.names.includes(`${owner}.x`)) stream.ack((held = await stream.next()));
  stream.send({ typeUrl: routesType });
  stream.ack(await stream.next());
  const resources = [backend(owner, 'y', '1'), ...route(owner, 'r', 'y')];
  await hasty.admin.config.apply({ scope: owner, resources, delete: [{ kind: 'Backend', name: 'x' }] });
  const [added, moved] = [await stream.next(), await stream.next()];
  expect([added, moved]).toMatchObject([
    { typeUrl: clusterType, names: [`${owner}.y`], removed: [] },
    { typeUrl: routesType, removed: [] },
  ]);
  stream.ack(added);
  expect(await stream.next()).toMatchObject({ typeUrl: clusterType, names: [], removed: [`${owner}.x`] });
});

it.each(['before', 'after'])(
  '50. The first answer of clusters is followed by the endpoints, held or not, asked for %s them.',
  async (when) => {
    await writeAll('one');
    const earlier = delta(foreign);
    let held = await earlier.ask({ typeUrl: endpointsType, resourceNamesSubscribe: [name('x')] });
    earlier.ack(held);
    // What was committed may not be published yet.
    while (held.names.length === 0) earlier.ack((held = await earlier.next()));
    const clustersHeld = await earlier.ask({ typeUrl: clusterType });
    earlier.cancel();

    const back = delta(foreign);
    const node = { id: 'node-1', cluster: 'default' };
    const endpoints = {
      ...{ node, typeUrl: endpointsType, resourceNamesSubscribe: [name('x')] },
      initialResourceVersions: { ...held.versions },
    };
    const clusters = { node, typeUrl: clusterType, initialResourceVersions: { ...clustersHeld.versions } };
    const early = async () => {
      back.send(endpoints);
      return back.fence();
    };
    // What is held is not sent for the asking.
    expect(when === 'before' ? await early() : []).toEqual([]);
    const answer = await back.ask(clusters);
    expect(answer).toMatchObject({ typeUrl: clusterType, names: [] });
    if (when === 'after') back.send(endpoints);
    expect(await back.next()).toMatchObject({ typeUrl: endpointsType, versions: held.versions });
  },
);

/** Follows backends and Manifests, one round after the other, and says what it holds at the end of each. */
class Follower {
  readonly revisions: bigint[] = [];
  readonly held = new Map<string, string>();
  readonly #stream: DeltaStream;
  /** What is held at a Manifest does not belong to one revision. */
  readonly torn: string[] = [];

  constructor(to: Subscriber, held: ReadonlyMap<string, string> = new Map()) {
    for (const [key, version] of held) this.held.set(key, version);
    this.#stream = delta(to);
    const node = { id: 'follower', cluster: 'default' };
    const initialResourceVersions = Object.fromEntries(held);
    for (const typeUrl of [backendType, manifestType]) this.#stream.send({ node, typeUrl, initialResourceVersions });
  }

  /** Reads until it has a revision. */
  async until(revision: bigint): Promise<void> {
    while ((this.revisions.at(-1) ?? 0n) < revision) this.#take(await this.#stream.next());
  }

  #take(answer: DeltaAnswer): void {
    for (const [key, version] of Object.entries(answer.versions)) this.held.set(key, version);
    for (const key of answer.removed) this.held.delete(key);
    const at = answer.names.indexOf(manifestName());
    if (at >= 0) {
      this.revisions.push(fromBinary(ManifestSchema, Buffer.from(answer.bodies[at] ?? '', 'hex')).revision);
      // Every revision gives all backends the same text, and so the same version.
      const versions = new Set(['a', 'b', 'c'].map((short) => this.held.get(backendName(tenant, short))));
      if (versions.size !== 1) this.torn.push(`${this.revisions.at(-1)}: ${[...versions].join(' ')}`);
    }
    this.#stream.ack(answer);
  }

  close(): void {
    this.#stream.cancel();
  }
}

const manifestName = () => backendName(tenant, 'current').replace('.Backend/', '.Manifest/');

it('51. A stream never has a state that no committed revision had.', async () => {
  await plane.backends(tenant, { a: '0', b: '0', c: '0' });
  const followers = [new Follower(native), new Follower(native), new Follower(native)];
  let last = 0n;
  for (let i = 1; i <= 30; i += 1) last = await plane.backends(tenant, { a: `${i}`, b: `${i}`, c: `${i}` });
  for (const follower of followers) {
    await follower.until(last);
    expect(follower.torn).toEqual([]);
    expect(follower.revisions.length).toBeGreaterThan(1);
  }
});

it('52. Revisions on a stream only grow; after a failover none is older than what the client has.', async () => {
  await using replica = await plane.replica();
  await plane.backends(tenant, { a: '0', b: '0', c: '0' });
  const before = new Follower(native);
  let last = 0n;
  for (let i = 1; i <= 5; i += 1) last = await plane.backends(tenant, { a: `${i}`, b: `${i}`, c: `${i}` });
  await before.until(last);
  before.close();
  // A replica that has not read a revision yet cannot know that there is one: nodes keep what is newer by themselves.
  const there = new Follower({ ...native, address: replica.address });
  await there.until(last);
  const after = new Follower({ ...native, address: replica.address }, before.held);
  const next = await plane.backends(tenant, { a: 'next', b: 'next', c: 'next' });
  await after.until(next);
  const seen = [...before.revisions, ...after.revisions];
  expect(seen).toEqual(seen.toSorted((a, b) => Number(a - b)));
  expect(new Set(seen).size).toBe(seen.length);
});

it('53. Two replicas serve the same bytes under the same versions.', async () => {
  const { revision } = await writeAll('one');
  await using replica = await plane.replica();
  /** Everything that a subscriber gets, without the nonces. */
  const everything = async (to: Subscriber, types: readonly string[]) => {
    const stream = delta(to);
    const all: Record<string, unknown> = {};
    for (const typeUrl of types) {
      const answer = await stream.ask({ typeUrl });
      stream.ack(answer);
      const { versions, bodies, innerTypes } = answer;
      all[typeUrl] = { versions, bodies, innerTypes };
    }
    return all;
  };
  const caughtUp = new Follower(native);
  await caughtUp.until(revision);
  const families = [
    { to: native, types: [backendType, routeType, manifestType] },
    { to: foreign, types: order },
  ];
  for (const { to, types } of families) {
    const there = await everything({ ...to, address: replica.address }, types);
    expect(await everything(to, types)).toEqual(there);
  }
  const versionOf = async (to: Subscriber) => {
    const stream = new StateStream(to);
    open.push(stream);
    return (await stream.ask({ typeUrl: clusterType })).version;
  };
  expect(await versionOf(foreign)).toBe(await versionOf({ ...foreign, address: replica.address }));
});
