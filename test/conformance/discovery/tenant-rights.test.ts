// Items 3 and 54 of the acceptance list, for credentials that are bound to some tenants: on a real control plane.
import { discoveryName, typeUrlOf } from '@signalbox/config';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type ControlPlane, nodeStatus, startControlPlaneFor } from './control-plane.ts';
import { backendName, backendType, manifestType, tenantType } from './native-names.ts';
import { type DeltaAnswer, DeltaStream, type Subscriber } from './raw-stream.ts';
import { Witness } from './witness.ts';

const types = [typeUrlOf('Gateway'), tenantType, backendType, manifestType];

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'));
});
afterAll(() => plane[Symbol.asyncDispose]());

let mine: string;
let other: string;
let open: DeltaStream[] = [];
beforeEach(async () => {
  mine = await plane.tenant();
  other = await plane.tenant();
  const witness = await Witness.of(await plane.subscriber(), backendType);
  for (const tenant of [mine, other]) {
    await plane.backends(tenant, { a: '1' });
    await witness.sees(backendName(tenant, 'a'));
  }
  witness.close();
});
afterEach(() => {
  for (const stream of open) stream.cancel();
  open = [];
});

/** A node that asks for everything, and what it was sent of a type. */
class Node {
  readonly stream: DeltaStream;
  readonly id: string;
  readonly held = new Map<string, Set<string>>();

  constructor(to: Subscriber, id: string) {
    this.stream = new DeltaStream(to);
    this.id = id;
    open.push(this.stream);
  }

  async ask(): Promise<readonly DeltaAnswer[]> {
    const node = { id: this.id, cluster: 'default' };
    for (const typeUrl of types) this.stream.send({ node, typeUrl, resourceNamesSubscribe: ['*'] });
    return [...(await this.take(types.length))];
  }

  /** Reads and acknowledges so many responses. */
  async take(count: number): Promise<readonly DeltaAnswer[]> {
    const answers: DeltaAnswer[] = [];
    for (let i = 0; i < count; i += 1) answers.push(this.#note(await this.stream.next()));
    return answers;
  }

  #note(answer: DeltaAnswer): DeltaAnswer {
    const held = this.held.get(answer.typeUrl) ?? new Set();
    this.held.set(answer.typeUrl, held);
    for (const name of answer.names) held.add(name);
    for (const name of answer.removed) held.delete(name);
    this.stream.ack(answer);
    return answer;
  }
}

const tenantName = (tenant: string) => discoveryName({ kind: 'Tenant', scope: 'operator', name: tenant });
const manifestName = (scope: string) => discoveryName({ kind: 'Manifest', scope, name: 'current' });
/** Labels a tenant, and waits until that was offered to every stream. @returns the operator's revision. */
async function label(tenant: string, labels: Record<string, string>): Promise<bigint> {
  const witness = await Witness.of(await plane.subscriber(), tenantType);
  const resources = [{ kind: 'Tenant', tenant: '', name: tenant, spec: { labels } }];
  const { revision } = await plane.admin.config.apply({ scope: 'operator', resources });
  await witness.sees(tenantName(tenant));
  witness.close();
  return revision;
}

it('3. A node sees of the operator’s set no name of a tenant that its token does not cover.', async () => {
  const node = new Node(await plane.subscriber({ tenants: [mine] }), 'named');
  const answers = await node.ask();
  expect([...(node.held.get(tenantType) ?? [])]).toEqual([tenantName(mine)]);
  expect(JSON.stringify(answers)).not.toContain(other);
  expect(node.held.get(manifestType)).toEqual(new Set([manifestName('operator'), manifestName(mine)]));
});

it('3. A node whose token names labels sees the tenants that have them, as they come and go.', async () => {
  const key = `k${mine}`;
  await label(mine, { [key]: 'gold' });
  const node = new Node(await plane.subscriber({ selector: `${key} in (gold)` }), 'labelled');
  await node.ask();
  expect([...(node.held.get(tenantType) ?? [])]).toEqual([tenantName(mine)]);

  await label(other, { [key]: 'gold' });
  const [tenants, backends, manifests] = await node.take(3);
  expect([tenants?.names, backends?.names]).toEqual([[tenantName(other)], [backendName(other, 'a')]]);
  expect(manifests?.names.toSorted()).toEqual([manifestName('operator'), manifestName(other)].sort());

  await label(other, { [key]: 'silver' });
  const [gone, goneBackends, goneManifests] = await node.take(3);
  expect([gone?.removed, goneBackends?.removed]).toEqual([[tenantName(other)], [backendName(other, 'a')]]);
  expect([goneManifests?.names, goneManifests?.removed]).toEqual([[manifestName('operator')], [manifestName(other)]]);
});

it('54. What the operator changes of a tenant elsewhere puts not a byte on the stream, and counts as run.', async () => {
  const node = new Node(await plane.subscriber({ tenants: [mine] }), 'untouched');
  await node.ask();
  const revision = await label(other, { any: 'thing' });
  expect(await node.stream.fence()).toEqual([]);
  const scopes = (await nodeStatus(plane.admin, 'untouched')).scopes.map((each) => [each.scope, each.appliedRevision]);
  expect(scopes).toContainEqual(['operator', revision]);
  expect(new Set(scopes.map(([scope]) => scope))).toEqual(new Set([mine, 'operator']));
});

it('54. A stream that has asked for one tenant carries no byte of another that it may see, nor is it counted for it.', async () => {
  const node = new Node(await plane.subscriber(), 'on-demand');
  const { stream } = node;
  const glob = (kind: 'Tenant' | 'Backend' | 'Manifest', scope: string) => discoveryName({ kind, scope, name: '*' });
  const first = { node: { id: 'on-demand', cluster: 'default' }, typeUrl: backendType };
  stream.send({ ...first, resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] });
  expect(await stream.fence()).toEqual([]);
  stream.send({ typeUrl: backendType, resourceNamesSubscribe: [glob('Backend', mine)] });
  stream.send({ typeUrl: manifestType, resourceNamesSubscribe: [glob('Manifest', mine)] });
  const [backends, manifests] = await node.take(2);
  expect([backends?.names, manifests?.names]).toEqual([[backendName(mine, 'a')], [manifestName(mine)]]);

  const all = await plane.subscriber();
  const witness = await Witness.of(all, backendType);
  await plane.backends(other, { a: '2' });
  await witness.sees(backendName(other, 'a'));
  expect(await stream.fence()).toEqual([]);
  expect((await nodeStatus(plane.admin, 'on-demand')).scopes.map(({ scope }) => scope)).toEqual([mine]);

  stream.send({ typeUrl: backendType, resourceNamesUnsubscribe: [glob('Backend', mine)] });
  stream.send({ typeUrl: manifestType, resourceNamesUnsubscribe: [glob('Manifest', mine)] });
  expect(await stream.fence()).toEqual([]);
  await plane.backends(mine, { a: '2' });
  await witness.sees(backendName(mine, 'a'));
  witness.close();
  expect(await stream.fence()).toEqual([]);
  expect((await nodeStatus(plane.admin, 'on-demand')).scopes).toEqual([]);
});
