// Items 52 to 54 of the acceptance list for revisions that reach nodes in stages: RFD 17. Subscribers of both families.
import { fromBinary } from '@bufbuild/protobuf';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { until } from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type ControlPlane, startControlPlaneFor } from './control-plane.ts';
import { manifestType } from './native-names.ts';
import { type DeltaAnswer, DeltaStream, type Subscriber } from './raw-stream.ts';
import { clusterType } from './test-family.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'), { SIGNALBOX_ROLLOUT_INTERVAL: '20' });
});
afterAll(() => plane[Symbol.asyncDispose]());

interface Follower {
  readonly id: string;
  readonly type: string;
  readonly stream: DeltaStream;
}

let tenant: string;
let followers: Follower[] = [];
beforeEach(async () => {
  tenant = await plane.tenant();
  await plane.backends(tenant, { b: 'one' });
  const spec = { rollout: { stages: [{ percent: 50, promotion: 'MANUAL' }] } };
  await plane.admin.config.apply({
    scope: 'operator',
    resources: [{ kind: 'Tenant', tenant: '', name: tenant, spec }],
  });
  const native = await plane.subscriber({ tenants: [tenant] });
  const foreign = await plane.subscriber({ tenants: [tenant], family: 'test' });
  followers = await Promise.all([
    ...['n1', 'n2', 'n3'].map((id) => follower(id, native, manifestType)),
    ...['f1', 'f2', 'f3'].map((id) => follower(id, foreign, clusterType)),
  ]);
});
afterEach(() => {
  for (const { stream } of followers) stream.cancel();
});

/** A subscriber that has the tenant: what is committed is published a moment later. */
async function follower(id: string, to: Subscriber, type: string): Promise<Follower> {
  const stream = new DeltaStream(to);
  const first = await stream.ask({ typeUrl: type }, id);
  stream.ack(first);
  const isWhole = (answer: DeltaAnswer) => isOfTenant(answer) && shown(answer) !== 0n;
  if (!isWhole(first)) while (!isWhole(await next({ stream })));
  return { id, type, stream };
}

/** What an answer shows of the tenant: the revision of its Manifest, or the version of its only cluster. */
function shown({ typeUrl, names, bodies, versions }: DeltaAnswer): string | bigint | undefined {
  const at = names.findIndex((name) => name.includes(tenant));
  if (typeUrl !== manifestType) return versions[names[at] ?? ''];
  return fromBinary(ManifestSchema, Buffer.from(bodies[at] ?? '', 'hex')).revision;
}

const isOfTenant = ({ names }: DeltaAnswer) => names.some((name) => name.includes(tenant));

/** The next answer about the tenant: the operator's set, which others change as well, has a Manifest of its own. */
async function next({ stream }: Pick<Follower, 'stream'>): Promise<DeltaAnswer> {
  const answer = await stream.next();
  stream.ack(answer);
  return isOfTenant(answer) ? answer : next({ stream });
}

/** Commits, and waits until the first nodes have it. @returns those that it has reached, and the others. */
async function rollOut(text: string): Promise<{ reached: Follower[]; others: Follower[]; revision: bigint }> {
  const revision = await plane.backends(tenant, { b: text });
  const members = await until('the stage to begin', async () => {
    const { progress } = await plane.admin.rollouts.getRollout({ scope: tenant });
    return progress?.members === 3 ? progress.memberNodes : undefined;
  });
  const isReached = ({ id }: Follower) => members.includes(id);
  return { reached: followers.filter(isReached), others: followers.filter((each) => !isReached(each)), revision };
}

it('54. A revision in stages puts no byte on streams that it has not reached, whatever family they are of.', async () => {
  const { reached, others } = await rollOut('two');
  expect([reached.length, others.length]).toEqual([3, 3]);
  for (const each of reached) expect((await next(each)).typeUrl).toBe(each.type);
  for (const { stream } of others) expect((await stream.fence()).filter(isOfTenant)).toEqual([]);
});

it('52. What is taken back comes as a newer revision: none falls on any stream, and who had the old one gets no data.', async () => {
  const { reached, others, revision } = await rollOut('three');
  const before = new Map<string, string | bigint | undefined>();
  for (const each of reached) before.set(each.id, shown(await next(each)));
  await plane.admin.rollouts.abortRollout({ scope: tenant });
  for (const each of reached) {
    const answer = await next(each);
    expect(shown(answer)).not.toBe(before.get(each.id));
    expect(each.type === manifestType ? shown(answer) : revision + 1n).toBe(revision + 1n);
  }
  for (const each of others) {
    const isNative = each.type === manifestType;
    const answers = isNative ? [await next(each)] : (await each.stream.fence()).filter(isOfTenant);
    expect(answers.map(shown)).toEqual(isNative ? [revision + 1n] : []);
  }
});

it('53. Another replica serves each node the same, also when it starts in the middle.', async () => {
  const { reached, others, revision } = await rollOut('four');
  await using replica = await plane.replica();
  const to = { ...(await plane.subscriber({ tenants: [tenant] })), address: replica.address };
  const seen = async ({ id }: Follower) => {
    const { stream } = await follower(id, to, manifestType);
    stream.cancel();
    const again = new DeltaStream(to);
    const answer = await again.ask({ typeUrl: manifestType }, id);
    again.cancel();
    return shown(answer);
  };
  expect(await Promise.all(reached.map(seen))).toEqual(reached.map(() => revision));
  expect(await Promise.all(others.map(seen))).toEqual(others.map(() => revision - 1n));
});
