// Items 41, 52 and 60 of the acceptance list, when a replica dies under load.
import { randomUUID } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { Propagation_Outcome as Outcome } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { type Admin, adminClient, startControlPlaneProcess, until } from '@signalbox/test-harness';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { backend, type ControlPlane, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType } from './native-names.ts';
import { type DeltaAnswer, DeltaStream, type Subscriber } from './raw-stream.ts';

const settings = { SIGNALBOX_REPLICA_LEASE: '1500', SIGNALBOX_NODES_RETURN: '5000', SIGNALBOX_FLEET_REPORT: '20' };
const tenant = 'acme';
/** Two processes and a database share the machine with everything else that is tested. */
const patienceMs = 30_000;

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'), { SIGNALBOX_REPLICA: 'survivor', ...settings });
  await plane.admin.tenants.createTenant({ name: tenant });
});
afterAll(() => plane[Symbol.asyncDispose]());

/**
 * A node that acknowledges everything and goes to the other replica when its own is gone. That one may not have read the
 * newest revision yet: as our nodes do, it keeps a newer one then.
 */
class Follower {
  readonly id: string;
  /** What it runs, one after the other. */
  readonly revisions: bigint[] = [];
  /** What it was sent, on each stream. */
  readonly sent: bigint[][] = [];
  /** Versions by name, as a node keeps them on its disk. */
  readonly held = new Map<string, string>();
  /** Resources that were sent although they were held. */
  readonly repeated: string[] = [];
  moves = 0;
  #stream: DeltaStream | undefined;

  constructor(id: string) {
    this.id = id;
  }

  /** Follows the replicas in their order; returns when it is closed. */
  async follow(places: readonly Subscriber[]): Promise<void> {
    for (const place of places) {
      const stream = new DeltaStream(place);
      this.#stream = stream;
      this.sent.push([]);
      const node = { id: this.id, cluster: 'default' };
      const initialResourceVersions = Object.fromEntries(this.held);
      for (const typeUrl of [backendType, manifestType]) stream.send({ node, typeUrl, initialResourceVersions });
      let isOver = false;
      void stream.ended.then(() => void (isOver = true));
      while (!isOver) {
        const answer = await Promise.race([stream.next(), stream.ended.then(() => undefined)]);
        if (answer) this.#take(stream, answer);
      }
      this.moves += 1;
    }
  }

  close(): void {
    this.#stream?.cancel();
  }

  #take(stream: DeltaStream, answer: DeltaAnswer): void {
    for (const [name, version] of Object.entries(answer.versions)) {
      if (this.held.get(name) === version) this.repeated.push(name);
      this.held.set(name, version);
    }
    const at = answer.names.findIndex((name) => name === manifest);
    if (at >= 0) this.#announced(fromBinary(ManifestSchema, Buffer.from(answer.bodies[at] ?? '', 'hex')).revision);
    stream.ack(answer);
  }

  #announced(revision: bigint): void {
    this.sent.at(-1)?.push(revision);
    if (revision > (this.revisions.at(-1) ?? -1n)) this.revisions.push(revision);
  }
}

const manifest = backendName(tenant, 'current').replace('.Backend/', '.Manifest/');

/** Changes one of ten backends. @returns the revision once some replica has said that it is committed. */
async function write(admins: readonly Admin[], text: string): Promise<bigint> {
  const requestId = randomUUID();
  const request = { scope: tenant, requestId, resources: [backend(tenant, `b${Number(text) % 10}`, text)] };
  for (const admin of admins) {
    const answer = await admin.config.apply(request).catch(() => undefined);
    if (answer) return answer.revision;
  }
  throw new Error('no replica took the write');
}

it('52. A replica that is killed under load loses no change, and takes nothing back: nodes go on elsewhere.', async () => {
  const killed = await startControlPlaneProcess(plane.databaseUrl, { SIGNALBOX_REPLICA: 'killed', ...settings });
  await using _killed = killed;
  const { secret } = await plane.admin.tokens.createToken({ name: 'w', role: Role.OPERATOR });
  const there = adminClient(killed.apiUrl, secret);
  const survivor = await plane.subscriber({ tenants: [tenant] });
  const followers = Array.from({ length: 5 }, (_, i) => new Follower(`f${i}`));
  const following = followers.map((each) =>
    each.follow([{ ...survivor, address: `127.0.0.1:${killed.discoveryPort}` }, survivor]),
  );

  const committed: bigint[] = [];
  let isOver = false;
  const writing = Array.from({ length: 4 }, async (_, writer) => {
    for (let i = writer; !isOver; i += 4) committed.push(await write([there, plane.admin], `${i}`));
  });
  const all = (count: number) => (followers.every(({ revisions }) => revisions.length >= count) ? true : undefined);
  await until('the nodes to follow', () => all(5), patienceMs);
  await killed.kill();
  await until(
    'the nodes to have moved',
    () => (followers.every(({ moves }) => moves === 1) ? true : undefined),
    patienceMs,
  );
  const before = committed.length;
  await until('writes to go on', () => (committed.length >= before + 20 ? true : undefined), patienceMs);
  isOver = true;
  await Promise.all(writing);
  const newest = await plane.backends(tenant, { last: 'last' });
  const isNewest = () => (followers.every(({ revisions }) => revisions.at(-1) === newest) ? true : undefined);
  await until('the nodes to be on the newest', isNewest, patienceMs);

  // Nothing that was said to be committed is missing, and nothing was committed twice.
  expect(new Set(committed).size).toBe(committed.length);
  const { revisions } = await plane.admin.config.listRevisions({ scope: tenant, limit: 1_000 });
  const known = new Set(revisions.map(({ revision }) => revision));
  expect(committed.filter((revision) => !known.has(revision))).toEqual([]);
  const { resources } = await plane.admin.config.list({ scope: tenant });
  for (const { id, held, repeated, sent } of followers) {
    const sorted = sent.map((revisions) => revisions.toSorted((a, b) => Number(a - b)));
    expect([id, sent, repeated]).toEqual([id, sorted, []]);
    expect(
      resources.filter(({ document, digest }) => held.get(backendName(tenant, document?.name ?? '')) !== digest),
    ).toEqual([]);
  }
  for (const follower of followers) follower.close();
  await Promise.all(following);
});

it('60. Nodes of a replica that was killed are waited for until they have answered elsewhere.', async () => {
  const killed = await startControlPlaneProcess(plane.databaseUrl, { SIGNALBOX_REPLICA: 'killed', ...settings });
  await using _killed = killed;
  const survivor = await plane.subscriber({ tenants: [tenant] });
  const moving = new Follower('moving');
  const following = moving.follow([{ ...survivor, address: `127.0.0.1:${killed.discoveryPort}` }]);
  const state = async (revision: bigint) => {
    const { propagation } = await plane.admin.config.getPropagation({ scope: tenant, revision });
    return propagation;
  };
  const first = await plane.backends(tenant, { a: '1' });
  await until('the node to be known to have it', async () => {
    const known = await state(first);
    return known?.done && known.counts?.applied === 1 ? true : undefined;
  });
  await killed.kill();
  await following;
  const revision = await plane.backends(tenant, { a: '2' });
  const outcomes: Outcome[] = [];
  const watching = (async () => {
    const request = { scope: tenant, revision };
    for await (const { propagation } of plane.admin.config.watchPropagation(request)) {
      outcomes.push(propagation?.outcome ?? Outcome.OUTCOME_UNSPECIFIED);
    }
  })();
  await until('the lease of the replica to run out', async () => {
    const { replicas } = await plane.admin.nodes.listNodes({});
    return replicas.find(({ name, alive }) => name === 'killed' && alive) ? undefined : true;
  });
  expect(await state(revision)).toMatchObject({ outcome: Outcome.IN_PROGRESS, counts: { leftUnanswered: 1 } });
  const back = moving.follow([survivor]);
  await watching;
  expect(new Set(outcomes.slice(0, -1))).toEqual(new Set([Outcome.IN_PROGRESS]));
  expect(outcomes.at(-1)).toBe(Outcome.COMPLETE);
  expect(moving.revisions.at(-1)).toBe(revision);
  moving.close();
  await back;
});
