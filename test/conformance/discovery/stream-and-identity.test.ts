// Items 1 to 9 of the acceptance list, on a real control plane.
import { connect } from 'node:http2';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { readSettings, systemClock } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { freePort, until } from '@signalbox/test-harness';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it, onTestFinished } from 'vitest';
import { type ControlPlane, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, tenantType } from './native-names.ts';
import { DeltaStream, type End, StateStream, type Subscriber } from './raw-stream.ts';

const invalidArgument = 3;
const permissionDenied = 7;
const resourceExhausted = 8;
const unavailable = 14;
const unauthenticated = 16;

const maxRequestBytes = 64 * 1024;

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'), { SIGNALBOX_DISCOVERY_REQUEST: String(maxRequestBytes) });
});
afterAll(() => plane[Symbol.asyncDispose]());

let tenant: string;
let to: Subscriber;
let open: DeltaStream[] = [];
beforeEach(async () => {
  tenant = await plane.tenant();
  await plane.backends(tenant, { a: '1' });
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

it.each(['delta', 'state'] as const)(
  '1. A first request without a node id ends the stream with INVALID_ARGUMENT, and nothing is sent (%s).',
  async (variant) => {
    const nameless = variant === 'delta' ? stream() : new StateStream(to);
    let sent = 0;
    void nameless.next().then(
      () => (sent += 1),
      () => undefined,
    );
    nameless.send({ typeUrl: backendType, node: { cluster: 'default' } });
    expect((await nameless.ended).code).toBe(invalidArgument);
    expect(sent).toBe(0);
  },
);

it('2. The node is that of the first request: named again it is fine, another one is INVALID_ARGUMENT.', async () => {
  const named = stream();
  const first = await named.ask({ typeUrl: backendType });
  named.ack(first);
  named.send({ typeUrl: backendType, node: { id: 'node-1', cluster: 'default' } });
  expect(await named.fence()).toEqual([]);
  named.send({ typeUrl: backendType, node: { id: 'node-2', cluster: 'default' } });
  expect((await named.ended).code).toBe(invalidArgument);
});

it.each([
  { claim: 'another gateway than that of the token', cluster: 'other', token: undefined, code: permissionDenied },
  { claim: 'no known token', cluster: 'default', token: 'sbx_nobody', code: unauthenticated },
])('3. A subscriber with $claim is refused before it learns a name.', async ({ cluster, token, code }) => {
  const liar = stream({ ...to, token: token ?? to.token });
  let sent = 0;
  void liar.next().then(
    () => (sent += 1),
    () => undefined,
  );
  liar.send({ typeUrl: backendType, node: { id: 'node-1', cluster } });
  const end = await liar.ended;
  expect(end.code).toBe(code);
  expect([sent, end.details.includes(tenant)]).toEqual([0, false]);
});

it('3. A tenant outside the token’s scope does not exist for its subscribers, by name or by glob.', async () => {
  const other = await plane.tenant();
  await plane.backends(other, { z: '1' });
  const asked = [backendName(other, 'z'), backendName(other, '*')];
  const answer = await stream().ask({ typeUrl: backendType, resourceNamesSubscribe: asked });
  expect(answer.names).toEqual([]);
  expect(answer.removed.toSorted()).toEqual(asked.toSorted());
});

it('4. A request without a type is INVALID_ARGUMENT; an unknown type is answered as empty, counted, and survived.', async () => {
  const typeless = stream();
  typeless.send({ node: { id: 'node-1', cluster: 'default' } });
  expect((await typeless.ended).code).toBe(invalidArgument);

  const before = await plane.metric('signalbox_discovery_unknown_types_total');
  const curious = stream();
  const answer = await curious.ask({ typeUrl: 'test/Unknown', resourceNamesSubscribe: ['x'] });
  expect(answer).toMatchObject({ typeUrl: 'test/Unknown', names: [], removed: ['x'] });
  curious.ack(answer);
  expect(await plane.metric('signalbox_discovery_unknown_types_total')).toBe(before + 1);
  expect((await curious.ask({ typeUrl: backendType })).names).toEqual([backendName(tenant, 'a')]);
});

it('5. A replica that has not read everything is UNAVAILABLE, and never serves less than there is.', async () => {
  const sql = postgres(plane.databaseUrl, { max: 1, onnotice: () => undefined });
  onTestFinished(() => sql.end());
  const port = await freePort();
  const settings = readSettings(controlPlaneSettings, {
    DATABASE_URL: plane.databaseUrl,
    SIGNALBOX_API_LISTEN: '127.0.0.1:0',
    SIGNALBOX_DISCOVERY_LISTEN: `127.0.0.1:${port}`,
  });
  const address = `127.0.0.1:${port}`;
  const attempt = () => {
    const early = stream({ ...to, address });
    const answered = early.ask({ typeUrl: backendType }).catch(() => undefined);
    return Promise.race([answered, early.ended]);
  };
  // Nobody can read resources meanwhile.
  const starting = await sql.begin(async (tx) => {
    await tx`lock table signalbox.resource in access exclusive mode`;
    const started = startControlPlane({ settings, logger: new MemoryLogger(), projections: [] });
    for (let i = 0; i < 5; i += 1) expect(await attempt()).toMatchObject({ code: unavailable });
    return { started };
  });
  const replica = await starting.started;
  onTestFinished(async () => void (await replica.stop(2_000)));
  expect(await attempt()).toMatchObject({ names: [backendName(tenant, 'a')] });
});

it('6. Types on one stream have nonces, versions and subscriptions of their own.', async () => {
  const both = stream();
  const backends = await both.ask({ typeUrl: backendType, resourceNamesSubscribe: [backendName(tenant, 'a')] });
  const tenants = await both.ask({ typeUrl: tenantType });
  expect(tenants.nonce).not.toBe(backends.nonce);
  // The nonce of one type answers nothing of the other: both are still unanswered, and so nothing more may come.
  both.ack(tenants, { typeUrl: backendType, resourceNamesSubscribe: [backendName(tenant, 'missing')] });
  expect(await both.fence()).toEqual([]);
  both.ack(backends);
  expect(await both.next()).toMatchObject({ typeUrl: backendType, removed: [backendName(tenant, 'missing')] });
  both.ack(tenants);
  // A wildcard of one type is none of the other.
  await plane.backends(tenant, { b: '1' });
  expect((await plane.metric('signalbox_discovery_streams')) > 0).toBe(true);
  expect((await both.fence()).filter(({ names }) => names.includes(backendName(tenant, 'b')))).toEqual([]);
});

it('7. A stream that ends, however, leaves nothing behind.', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const openStreams = () => plane.metric('signalbox_discovery_streams');
  const before = await openStreams();
  /** Opens streams, ends each in one of three ways, and says how much memory is in use then. */
  const churn = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i += 1) {
      const brief = new DeltaStream(to);
      const first = await brief.ask({ typeUrl: backendType });
      if (i % 3 === 0) brief.halfClose();
      else if (i % 3 === 1) brief.cancel();
      else {
        brief.ack(first);
        brief.send({ typeUrl: backendType, node: { id: 'another', cluster: 'default' } });
      }
      await brief.ended;
      if (i % 3 === 0) brief.cancel();
    }
    await until('all streams to be forgotten', async () => ((await openStreams()) === before ? true : undefined));
    // What this test keeps of the log is not what the server keeps.
    plane.logger.lines.splice(0);
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  // What is compiled and cached on the way takes some hundred streams to settle.
  await churn(500);
  const base = await churn(50);
  const grown = (await churn(300)) - base;
  // One stream costs some ten kilobytes while it is open.
  expect(grown / 300).toBeLessThan(3_000);
});

it('8. Streams grow only so old, each a little older or younger; who comes back with what it holds is sent nothing.', async () => {
  await using ageing = await plane.replica({ SIGNALBOX_DISCOVERY_STREAM_AGE: '1000' });
  const place = { ...to, address: ageing.address };
  const ends = await Promise.all(
    Array.from({ length: 20 }, async (_, i): Promise<End & { readonly atMs: number }> => {
      const startedMs = systemClock.monotonic();
      const old = stream(place);
      old.ack(await old.ask({ typeUrl: backendType }, `node-${i}`));
      const end = await old.ended;
      return { ...end, atMs: systemClock.monotonic() - startedMs };
    }),
  );
  expect(ends.map(({ code }) => code)).toEqual(ends.map(() => unavailable));
  expect(ends[0]?.details).toMatch(/maximum age/);
  const ages = ends.map(({ atMs }) => atMs);
  expect(Math.max(...ages) - Math.min(...ages)).toBeGreaterThan(50);

  const held = await stream(place).ask({ typeUrl: backendType });
  const back = await stream(place).ask({ typeUrl: backendType, initialResourceVersions: { ...held.versions } });
  expect(back).toMatchObject({ names: [], removed: [] });

  // A connection that stays open without streams is told to go, too.
  const session = connect(`http://${ageing.address}`);
  const told = new Promise<void>((resolve) => session.on('goaway', () => resolve()));
  session.on('error', () => undefined);
  await told;
  session.destroy();
});

it('9. A request above the limit ends its stream with RESOURCE_EXHAUSTED, and no other.', async () => {
  const calm = stream();
  calm.ack(await calm.ask({ typeUrl: backendType }));
  const greedy = stream();
  greedy.send({
    node: { id: 'node-2', cluster: 'default' },
    typeUrl: backendType,
    resourceNamesSubscribe: Array.from({ length: 1_000 }, (_, i) => backendName(tenant, 'x'.repeat(100) + i)),
  });
  expect((await greedy.ended).code).toBe(resourceExhausted);
  expect(await calm.fence()).toEqual([]);
  await plane.backends(tenant, { a: '2' });
  expect((await calm.next()).names).toEqual([backendName(tenant, 'a')]);
});
