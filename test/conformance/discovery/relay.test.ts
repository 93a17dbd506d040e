// Items of the acceptance list that a relay has to hold like the control plane that it is fed by, on real sockets.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { kinds, typeUrlOf } from '@signalbox/config';
import { IdentifyNodeRequestSchema, RelayService } from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import { freePort, until } from '@signalbox/test-harness';
import { serviceDefinition } from '@signalbox/xds';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type ControlPlane, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType, tenantType } from './native-names.ts';
import { type DeltaAnswer, DeltaStream, type Subscriber } from './raw-stream.ts';
import { startTestRelay, type TestRelay } from './relay-process.ts';
import { clusterType } from './test-family.ts';

const statusCodes = { notFound: 5, permissionDenied: 7, unavailable: 14, unauthenticated: 16 };
const types = [...kinds.map((kind) => typeUrlOf(kind)), manifestType];

let plane: ControlPlane;
let relay: TestRelay;
let folder: string;
let mine: string;
let open: DeltaStream[] = [];

beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'));
  relay = await startTestRelay(await plane.subscriber({ relay: true }));
  await relay.ready();
});
afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-test-relay-'));
  mine = await plane.tenant();
  await plane.backends(mine, { a: '1', b: '1' });
});
afterEach(async () => {
  for (const stream of open) stream.cancel();
  open = [];
  await rm(folder, { recursive: true, force: true });
});

const below = ({ token }: Subscriber, at: TestRelay = relay): Subscriber => ({ address: at.address, token });

function stream(to: Subscriber): DeltaStream {
  const opened = new DeltaStream(to);
  open.push(opened);
  return opened;
}

interface Held {
  readonly versions: Record<string, string>;
  readonly bodies: Record<string, string>;
}

/** Everything that a node is sent that asks for all of some types. */
async function held(to: Subscriber, of: readonly string[] = types): Promise<Held> {
  const opened = stream(to);
  const node = { id: 'reader', cluster: 'default' };
  for (const typeUrl of of) opened.send({ node, typeUrl, resourceNamesSubscribe: ['*'] });
  const answers: DeltaAnswer[] = [];
  while (answers.length < of.length) {
    const answer = await opened.next();
    opened.ack(answer);
    answers.push(answer);
  }
  opened.cancel();
  return {
    versions: Object.assign({}, ...answers.map(({ versions }) => versions)) as Record<string, string>,
    bodies: Object.fromEntries(answers.flatMap(({ names, bodies }) => names.map((name, i) => [name, bodies[i] ?? '']))),
  };
}

/** Waits until a node at an address holds a version of a backend. */
function arrived(to: Subscriber, name: string, text: string) {
  const wanted = Buffer.from(`/${text}`).toString('hex');
  return until(`${name} to be ${text}`, async () => {
    const { bodies } = await held(to, [backendType]);
    return bodies[name]?.includes(wanted) ? true : undefined;
  });
}

/** How a stream ends that asks for backends. */
async function ended(to: Subscriber) {
  const opened = stream(to);
  opened.send({ node: { id: 'node-1', cluster: 'default' }, typeUrl: backendType });
  return opened.ended;
}

it('53. A relay serves byte for byte what its upstream serves, a relay below it too, after every change.', async () => {
  const to = await plane.subscriber();
  const second = await startTestRelay(below(await plane.subscriber({ relay: true })), {
    SIGNALBOX_RELAY_ID: 'relay-2',
  });
  await second.ready();
  await plane.backends(mine, { a: '2', b: null, c: '1' });
  for (const at of [relay, second]) {
    await arrived(below(to, at), backendName(mine, 'a'), '2');
    expect(await held(below(to, at))).toEqual(await held(to));
  }
  await second[Symbol.asyncDispose]();
});

it('53. A relay projects other families as its upstream does: equal names, versions and bytes.', async () => {
  const to = await plane.subscriber({ family: 'test' });
  await arrived(below(await plane.subscriber()), backendName(mine, 'a'), '1');
  const direct = await held(to, [clusterType]);
  expect(Object.keys(direct.versions).length).toBeGreaterThan(0);
  expect(await held(below(to), [clusterType])).toEqual(direct);
});

it('41. A node that moves from the control plane to a relay, or back, gets nothing that it has.', async () => {
  const to = await plane.subscriber();
  await arrived(below(to), backendName(mine, 'a'), '1');
  for (const [from, next] of [
    [to, below(to)],
    [below(to), to],
  ] as const) {
    const { versions } = await held(from, [backendType]);
    const answer = await stream(next).ask({ typeUrl: backendType, initialResourceVersions: versions });
    expect([answer.names, answer.removed]).toEqual([[], []]);
  }
});

it('54. A change of a tenant reaches streams below a relay that carry it, and puts not a byte on others.', async () => {
  const other = await plane.tenant();
  await plane.backends(other, { a: '1' });
  const theirs = below(await plane.subscriber({ tenants: [other] }));
  await arrived(theirs, backendName(other, 'a'), '1');
  const elsewhere = stream(theirs);
  elsewhere.ack(await elsewhere.ask({ typeUrl: backendType }));
  await elsewhere.fence();
  await plane.backends(mine, { a: '2' });
  await arrived(below(await plane.subscriber({ tenants: [mine] })), backendName(mine, 'a'), '2');
  expect(await elsewhere.fence()).toEqual([]);
});

it('3. A relay lets in whom its upstream knows, for what their tokens cover, and nobody else.', async () => {
  const other = await plane.tenant();
  const to = below(await plane.subscriber({ tenants: [mine] }));
  await until('the tenant to arrive', async () => {
    const { versions } = await held(below(await plane.subscriber()), [tenantType]);
    return Object.keys(versions).some((name) => name.endsWith(other)) ? true : undefined;
  });
  const { versions } = await held(to, [tenantType]);
  expect(Object.keys(versions)).toEqual([expect.stringContaining(mine)]);

  expect((await ended({ ...to, token: 'nobody' })).code).toBe(statusCodes.unauthenticated);
  await plane.admin.config.apply({
    scope: 'operator',
    resources: [{ kind: 'Gateway', tenant: '', name: 'edge', spec: { listeners: [{ name: 'main', port: 8081 }] } }],
  });
  const foreign = below(await plane.subscriber({ gateway: 'edge' }));
  expect((await ended(foreign)).code).toBe(statusCodes.unauthenticated);
});

it('3. A token that is revoked at the control plane ends its streams below the relay.', async () => {
  const to = await plane.subscriber({ tenants: [mine] });
  const opened = stream(below(to));
  opened.ack(await opened.ask({ typeUrl: backendType }));
  const { tokens } = await plane.admin.tokens.listTokens({});
  const id = tokens.findLast(({ tenants }) => tenants.includes(mine))?.id ?? '';
  await plane.admin.tokens.revokeToken({ id });
  expect((await opened.ended).code).toBe(statusCodes.unauthenticated);
});

it('3. Only a relay may ask who nodes are, and only about nodes of its gateway.', async () => {
  const ask = (token: string) => {
    const [id, hash] = ['0123456789abcdef', Buffer.alloc(32)];
    return question(
      plane,
      token,
      create(IdentifyNodeRequestSchema, { credential: { case: 'token', value: { id, hash } } }),
    );
  };
  expect(await ask((await plane.subscriber()).token)).toBe(statusCodes.permissionDenied);
  expect(await ask('nobody')).toBe(statusCodes.unauthenticated);
  expect(await ask((await plane.subscriber({ relay: true })).token)).toBe(statusCodes.notFound);
});

it('3. A relay that is bound to tenants holds no others, and tells nobody their names.', async () => {
  const other = await plane.tenant();
  await plane.backends(other, { a: '1' });
  const limited = await startTestRelay(await plane.subscriber({ relay: true, tenants: [mine] }));
  await limited.ready();
  const { versions } = await held(below(await plane.subscriber(), limited));
  expect(Object.keys(versions)).toContain(backendName(mine, 'a'));
  expect(JSON.stringify(versions)).not.toContain(other);
  // A token for the other tenant alone covers nothing here, which is not everything.
  const theirs = await held(below(await plane.subscriber({ tenants: [other] }), limited));
  expect(Object.keys(theirs.versions).filter((name) => /\/t[0-9a-f]{8}/.test(name))).toEqual([]);
  await limited[Symbol.asyncDispose]();
});

it('5. A relay that has nothing and reaches nobody refuses streams, and is never empty.', async () => {
  const { token } = await plane.subscriber({ relay: true });
  await using lonely = await startTestRelay({ address: `127.0.0.1:${await freePort()}`, token });
  const end = await ended({ address: lonely.address, token: (await plane.subscriber()).token });
  expect(end.code).toBe(statusCodes.unavailable);
  expect(await lonely.readiness()).toMatch(/not everything has come/);
});

it('61. With its upstream down a relay serves streams, new streams and reconnects, also after a restart from its own disk.', async () => {
  await using own = await startControlPlaneFor(inject('pgUrl'));
  const tenant = await own.tenant();
  await own.backends(tenant, { a: '1' });
  const node = await own.subscriber();
  const settings = { SIGNALBOX_STATE: folder, SIGNALBOX_SNAPSHOT_INTERVAL: '100' };
  const upstream = await own.subscriber({ relay: true });
  const first = await startTestRelay(upstream, settings);
  await first.ready();
  const before = await held(below(node, first));
  expect(Object.keys(before.versions)).toContain(backendName(tenant, 'a'));
  await until('the node’s credential to be on disk', async () => {
    const file = await readFile(join(folder, 'replica.snapshot'), 'latin1').catch(() => '');
    return file.includes('"form":"bearer"') ? true : undefined;
  });
  await own.running.stop(2_000);
  await until('the relay to know', async () => ((await first.readiness()).includes('stale') ? true : undefined));
  expect(await held(below(node, first))).toEqual(before);
  await first[Symbol.asyncDispose]();

  await using again = await startTestRelay(upstream, settings);
  await again.ready();
  expect(await held(below(node, again))).toEqual(before);
  expect((await ended(below({ ...node, token: upstream.token.replace(/.{4}$/, '0000') }, again))).code).not.toBe(0);
});

/** Asks the upstream about a credential. @returns the status code. */
function question({ running }: ControlPlane, token: string, request: object): Promise<number> {
  const { host, port } = running.discoveryAddress;
  const client = new Client(`${host}:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const method = serviceDefinition(RelayService)['identifyNode'];
  if (!method) throw new Error('there is no such method');
  return new Promise((resolve) => {
    const done = (error: ServiceError | null) => {
      client.close();
      resolve(error?.code ?? 0);
    };
    const { path, requestSerialize, responseDeserialize } = method;
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, done);
  });
}
