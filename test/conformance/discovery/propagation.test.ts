// Item 60 of the acceptance list, on two replicas of one database: exact, whichever replica a node is connected to.
import {
  NodePropagation_State as State,
  Propagation_Outcome as Outcome,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { type Admin, adminClient, until } from '@signalbox/test-harness';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type ControlPlane, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType } from './native-names.ts';
import { startTestRelay } from './relay-process.ts';
import { type DeltaAnswer, DeltaStream, type Subscriber } from './raw-stream.ts';
import { clusterType, endpointsType, listenerType, routesType } from './test-family.ts';

/** Long enough to be seen on a busy machine, short enough to be waited for. */
const returnMs = 4_000;
const patienceMs = 30_000;

let plane: ControlPlane;
let other: Awaited<ReturnType<ControlPlane['replica']>>;
/** The API of the other replica, as operator. */
let otherAdmin: Admin;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'), {
    SIGNALBOX_REPLICA: 'one',
    SIGNALBOX_NODES_RETURN: String(returnMs),
    SIGNALBOX_FLEET_REPORT: '20',
    SIGNALBOX_FLEET_POLL: '20',
    SIGNALBOX_API_RECHECK: '100',
  });
  other = await plane.replica({ SIGNALBOX_REPLICA: 'two' });
  const { secret } = await plane.admin.tokens.createToken({ name: 'other', role: Role.OPERATOR });
  otherAdmin = adminClient(other.running.apiUrl, secret);
});
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
});

let tenant: string;
let one: Subscriber;
let two: Subscriber;
let open: DeltaStream[] = [];
beforeEach(async () => {
  tenant = await plane.tenant();
  one = await plane.subscriber({ tenants: [tenant] });
  two = { ...one, address: other.address };
  await commit('0');
});
afterEach(() => {
  for (const stream of open) stream.cancel();
  open = [];
});

/** Commits a change. @returns its revision when all replicas offer it. */
async function commit(text: string): Promise<bigint> {
  const revision = await plane.backends(tenant, { a: text });
  await until('all replicas to offer it', async () => {
    const { replicas } = (await propagation(plane.admin, revision)).state;
    return replicas.length >= 2 && replicas.every((each) => each.offeredRevision >= revision) ? true : undefined;
  });
  return revision;
}

/** A node that runs what is newest, and answers only what the test lets it. */
class TestNode {
  readonly id: string;
  stream: DeltaStream;

  private constructor(id: string, stream: DeltaStream) {
    this.id = id;
    this.stream = stream;
  }

  static async at(to: Subscriber, id: string): Promise<TestNode> {
    const node = new TestNode(id, connection(to));
    await node.ask();
    await node.prove();
    return node;
  }

  /** Leaves its replica, and asks another: nothing is proved by that. */
  async moveTo(to: Subscriber): Promise<void> {
    this.stream.cancel();
    this.stream = connection(to);
    await this.ask();
  }

  async ask(): Promise<void> {
    this.stream.ack(await this.stream.ask({ typeUrl: backendType }, this.id));
  }

  /** Acknowledges the Manifests. */
  async prove(): Promise<void> {
    this.stream.ack(await this.stream.ask({ typeUrl: manifestType }, this.id));
    await this.stream.fence();
  }

  /** The Manifest of the tenant's next revision, not answered; whatever else comes is acknowledged. */
  async received(revision?: bigint): Promise<DeltaAnswer> {
    const name = backendName(tenant, 'current').replace('.Backend/', '.Manifest/');
    for (;;) {
      const answer = await this.stream.next();
      const body = answer.bodies[answer.names.indexOf(name)];
      const came = body === undefined ? undefined : fromBinary(ManifestSchema, Buffer.from(body, 'hex')).revision;
      if (came !== undefined && came >= (revision ?? came)) return answer;
      this.stream.ack(answer);
    }
  }

  async apply(revision?: bigint): Promise<void> {
    this.stream.ack(await this.received(revision));
  }
}

function connection(to: Subscriber): DeltaStream {
  const stream = new DeltaStream(to);
  open.push(stream);
  return stream;
}

function nameOf(values: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(values).find(([, each]) => each === value)?.[0] ?? '';
}

async function propagation(admin: Admin, revision: bigint) {
  const { propagation: state } = await admin.config.getPropagation({ scope: tenant, revision });
  if (!state) throw new Error('the answer is empty');
  const nodes = state.nodes.map(({ node, state: how, replica }) => `${node}@${replica} ${nameOf(State, how)}`);
  return { outcome: nameOf(Outcome, state.outcome), nodes, state };
}

/** Both replicas come to say the same. @param about of nodes whose ids begin so. */
async function bothSay(
  revision: bigint,
  outcome: keyof typeof Outcome,
  nodes: readonly string[],
  about = '',
): Promise<void> {
  const expected = `${outcome} ${nodes.toSorted().join()}`;
  for (const admin of [plane.admin, otherAdmin]) {
    const said = await until(
      expected,
      async () => {
        const state = await propagation(admin, revision);
        const text = `${state.outcome} ${state.nodes
          .filter((node) => node.startsWith(about))
          .toSorted()
          .join()}`;
        return text === expected ? text : undefined;
      },
      patienceMs,
    );
    expect(said).toBe(expected);
  }
}

/** Follows a revision on a replica. @returns its outcomes, in order, with what had happened by then. */
function followed(admin: Admin, revision: bigint, happened: () => string) {
  const seen: string[] = [];
  const ended = (async () => {
    for await (const { propagation: state } of admin.config.watchPropagation({ scope: tenant, revision })) {
      seen.push(`${nameOf(Outcome, state?.outcome ?? 0)} when ${happened()}`);
    }
    return seen;
  })();
  return { seen, ended };
}

it('60. A node counts on whichever replica it is, and every replica says so.', async () => {
  const a = await TestNode.at(one, 'a');
  const b = await TestNode.at(two, 'b');
  const revision = await commit('1');
  await a.apply();
  const last = await b.received();
  await bothSay(revision, 'IN_PROGRESS', ['a@one APPLIED', 'b@two SENT']);
  b.stream.ack(last);
  await bothSay(revision, 'COMPLETE', ['a@one APPLIED', 'b@two APPLIED']);
  const { state } = await propagation(otherAdmin, revision);
  expect(state).toMatchObject({
    counts: { connected: 2, applied: 2, pending: 0, sent: 0, refused: 0 },
    latency: { count: 2 },
    replicas: [
      { replica: 'two', offeredRevision: revision },
      { replica: 'one', offeredRevision: revision },
    ],
  });
  expect(state.latency?.p99Ms).toBeGreaterThan(0);
});

it('60. What a node refuses on one replica is known on the other, with resource and reason.', async () => {
  await TestNode.at(one, 'a').then((node) => node.stream.cancel());
  const b = await TestNode.at(two, 'b');
  const revision = await commit('1');
  const message = JSON.stringify([{ name: backendName(tenant, 'a'), error: 'cannot do that' }]);
  b.stream.nack(await b.received(), message);
  await until('the refusal to be known', async () =>
    (await propagation(plane.admin, revision)).outcome === 'REJECTED' ? true : undefined,
  );
  const refused = (await propagation(plane.admin, revision)).state.nodes.find(({ node }) => node === 'b');
  expect(refused).toMatchObject({
    ...{ state: State.REFUSED, appliedRevision: revision - 1n, replica: 'two' },
    refusals: [{ type: 'Backend', resource: 'a', message: 'cannot do that' }],
  });
});

it('60. A node that moves from replica to replica is never forgotten on the way.', async () => {
  const a = await TestNode.at(one, 'a');
  let step = 'it is connected';
  const revision = await commit('1');
  const watches = [plane.admin, otherAdmin].map((admin) => followed(admin, revision, () => step));
  await until('the watches to begin', () => (watches.every(({ seen }) => seen.length > 0) ? true : undefined));
  a.stream.cancel();
  step = 'it has left';
  await bothSay(revision, 'IN_PROGRESS', ['a@one LEFT_UNANSWERED']);
  await a.moveTo(two);
  step = 'it is back';
  await bothSay(revision, 'IN_PROGRESS', ['a@two PENDING']);
  step = 'it has answered';
  await a.prove();
  for (const { ended } of watches) {
    const outcomes = await ended;
    expect(outcomes.at(-1)).toBe('COMPLETE when it has answered');
    expect(outcomes.slice(0, -1).filter((each) => !each.startsWith('IN_PROGRESS'))).toEqual([]);
  }
});

it('60. A node between two replicas at the commit is waited for as well.', async () => {
  const a = await TestNode.at(one, 'a');
  a.stream.cancel();
  await until('it to be gone', async () =>
    (await plane.admin.nodes.listNodes({ scope: tenant })).nodes.some(({ connected }) => !connected) ? true : undefined,
  );
  const revision = await commit('1');
  await bothSay(revision, 'IN_PROGRESS', ['a@one LEFT_UNANSWERED']);
  await a.moveTo(two);
  await a.prove();
  await bothSay(revision, 'COMPLETE', ['a@two APPLIED']);
  expect((await propagation(plane.admin, revision)).state.counts).toMatchObject({ connected: 1, leftUnanswered: 0 });
});

it('60. A node that never answers is waited for; one that leaves without an answer is named in the end.', async () => {
  const a = await TestNode.at(one, 'a');
  const b = await TestNode.at(two, 'b');
  const revision = await commit('1');
  await a.apply();
  await b.received();
  const late = otherAdmin.config.watchPropagation({ scope: tenant, revision }, { timeoutMs: returnMs / 2 });
  const seen: boolean[] = [];
  await expect(
    (async () => {
      for await (const { propagation: state } of late) seen.push(state?.done ?? false);
    })(),
  ).rejects.toThrow('deadline_exceeded');
  expect(seen).not.toContain(true);
  b.stream.cancel();
  await bothSay(revision, 'LEFT_UNANSWERED', ['a@one APPLIED', 'b@two LEFT_UNANSWERED']);
  const next = await commit('2');
  await a.apply();
  await bothSay(next, 'COMPLETE', ['a@one APPLIED', 'b@two DISCONNECTED']);
});

it('60. A subscriber of a foreign family counts like any other, on whichever replica.', async () => {
  const foreign = await plane.subscriber({ tenants: [tenant], family: 'test' });
  const stream = connection({ ...foreign, address: other.address });
  for (const typeUrl of [clusterType, endpointsType, listenerType, routesType])
    stream.ack(await stream.ask({ typeUrl }, 'foreign'));
  await stream.fence();
  const revision = await commit('1');
  await until('it to be behind', async () =>
    (await propagation(plane.admin, revision)).nodes.some((node) => /foreign@two (SENT|PENDING)/.test(node))
      ? true
      : undefined,
  );
  const answered = (async () => {
    for (;;) stream.ack(await stream.next());
  })();
  answered.catch(() => undefined);
  await bothSay(revision, 'COMPLETE', ['foreign@two APPLIED']);
  const { nodes } = await plane.admin.nodes.listNodes({ scope: tenant });
  expect(nodes).toMatchObject([{ id: 'foreign', family: 'test', replica: 'two', connected: true }]);
});

it('60. Nodes of all replicas are listed by each, and replicas by name; who is bound to a tenant learns no replica.', async () => {
  await TestNode.at(one, 'a');
  await TestNode.at(two, 'b');
  for (const admin of [plane.admin, otherAdmin]) {
    const both = await until('both nodes', async () => {
      const list = await admin.nodes.listNodes({ scope: tenant });
      return list.nodes.length === 2 && list.nodes.every(({ scopes }) => scopes[0]?.appliedRevision === 1n)
        ? list
        : undefined;
    });
    expect(both.nodes.map(({ id, replica }) => `${id}@${replica}`)).toEqual(['a@one', 'b@two']);
    expect(both.nodes.map(({ scopes }) => scopes)).toMatchObject(
      Array.from({ length: 2 }, () => [{ scope: tenant, desiredRevision: 1n, appliedRevision: 1n }]),
    );
    expect(
      both.replicas
        .filter(({ alive }) => alive)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(['one', 'two']);
  }
  const { secret } = await plane.admin.tokens.createToken({ name: 't', role: Role.AUDITOR, tenants: [tenant] });
  const bound = await adminClient(plane.running.apiUrl, secret).nodes.listNodes({});
  expect(bound.replicas).toEqual([]);
  expect(bound.nodes.map(({ id, replica, remoteAddress }) => [id, replica, remoteAddress])).toEqual([
    ['a', '', ''],
    ['b', '', ''],
  ]);
});

it('60. Whoever watches is shown nothing more when his token is revoked.', async () => {
  const a = await TestNode.at(one, 'a');
  const revision = await commit('1');
  await a.received();
  const watcher = { name: 'w', role: Role.AUDITOR, tenants: [tenant] };
  const { secret, token } = await plane.admin.tokens.createToken(watcher);
  // Revoked on one replica, ended on both.
  const watches: AsyncIterator<unknown>[] = [];
  for (const { apiUrl } of [plane.running, other.running]) {
    const bound = adminClient(apiUrl, secret);
    watches.push(
      bound.config.watchPropagation({ scope: tenant, revision })[Symbol.asyncIterator](),
      bound.nodes.watchNodes({ scope: tenant })[Symbol.asyncIterator](),
    );
  }
  for (const watch of watches) expect((await watch.next()).done).toBe(false);
  await plane.admin.tokens.revokeToken({ id: token?.id ?? '' });
  const ends = await Promise.allSettled(
    watches.map(async (watch) => {
      while (!(await watch.next()).done);
    }),
  );
  expect(ends.map((end) => (end.status === 'rejected' ? String(end.reason) : 'ended'))).toEqual(
    ends.map(() => 'ConnectError: [unauthenticated] the token is not known, expired or revoked'),
  );
});

it('60. A node below a relay counts as well, by name of the relay, on every replica; also below a second one.', async () => {
  const relays = [await startTestRelay(await plane.subscriber({ relay: true }), relaySettings('relay-1'))];
  await relays[0]?.ready();
  const above = { ...(await plane.subscriber({ relay: true })), address: relays[0]?.address ?? '' };
  relays.push(await startTestRelay(above, relaySettings('relay-2')));
  await relays[1]?.ready();
  const nodes = await Promise.all(
    relays.map(async ({ address }, i) => {
      await offersAt(address);
      return TestNode.at({ ...one, address }, `below-${i + 1}`);
    }),
  );
  const revision = await commit('1');
  const [first, second] = nodes as [TestNode, TestNode];
  await first.apply(revision);
  const last = await second.received(revision);
  const below = (state: string) => ['below-1@relay-1 APPLIED', `below-2@relay-2 ${state}`];
  await bothSay(revision, 'IN_PROGRESS', below('SENT'), 'below');
  second.stream.ack(last);
  await bothSay(revision, 'COMPLETE', below('APPLIED'), 'below');
  const next = await commit('2');
  second.stream.cancel();
  await first.apply(next);
  await bothSay(next, 'LEFT_UNANSWERED', ['below-1@relay-1 APPLIED', 'below-2@relay-2 LEFT_UNANSWERED'], 'below');
  const { replicas } = await otherAdmin.nodes.listNodes({ scope: tenant });
  expect(replicas.map(({ name }) => name)).toEqual(expect.arrayContaining(['one', 'two', 'relay-1', 'relay-2']));
  for (const relay of relays.toReversed()) await relay[Symbol.asyncDispose]();
  await bothSay(next, 'LEFT_UNANSWERED', ['below-1@relay-1 DISCONNECTED', 'below-2@relay-2 LEFT_UNANSWERED'], 'below');
});

const relaySettings = (id: string) => ({ SIGNALBOX_RELAY_ID: id, SIGNALBOX_FLEET_REPORT: '20' });

/** Waits until a relay has the tenant. */
async function offersAt(address: string): Promise<void> {
  await until('the relay to have the tenant', async () => {
    const probe = connection({ ...one, address });
    const { names } = await probe.ask({ typeUrl: backendType }, 'probe');
    probe.cancel();
    return names.length > 0 ? true : undefined;
  });
}
