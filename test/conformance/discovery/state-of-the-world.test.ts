// Items 10 to 25 of the acceptance list, on state-of-the-world streams of a real control plane. Our own nodes speak delta
// and their types have no full state, so these subscribers have the test family: types that behave like those of Envoy,
// projected from the committed configuration.
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { type ControlPlane, nodeStatus, route, startControlPlaneFor } from './control-plane.ts';
import { type StateAnswer, StateStream, type Subscriber } from './raw-stream.ts';
import { clusterType, endpointsType, listenerType, routesType } from './test-family.ts';
import { Witness } from './witness.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlaneFor(inject('pgUrl'));
});
afterAll(() => plane[Symbol.asyncDispose]());

let tenant: string;
let to: Subscriber;
let open: { cancel(): void }[] = [];
beforeEach(async () => {
  tenant = await plane.tenant();
  to = await plane.subscriber({ tenants: [tenant], family: 'test' });
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cancel();
  open = [];
});

function stream(): StateStream {
  const opened = new StateStream(to);
  open.push(opened);
  return opened;
}

/** Commits, and waits until every stream of the family has been offered it. */
async function commit(texts: Readonly<Record<string, string | null>>): Promise<void> {
  await seen({ typeUrl: clusterType, short: Object.keys(texts)[0] ?? '' }, () => plane.backends(tenant, texts));
}

/** Commits something, and waits until every stream of the family has been offered it. */
async function seen(
  what: { readonly typeUrl: string; readonly short: string },
  write: () => Promise<unknown>,
): Promise<void> {
  const witness = await Witness.of(to, what.typeUrl);
  await write();
  await witness.sees(name(what.short));
  witness.close();
}

const name = (short: string) => `${tenant}.${short}`;
/** Short names in a response, in order of names. */
const shorts = ({ bodies }: StateAnswer) =>
  bodies.map((body) => body.slice(tenant.length + 1, body.indexOf(' '))).sort();

it('10. A first request without names is a wildcard: all resources of the node in one response.', async () => {
  await commit({ a: '1', b: '1', c: '1' });
  const other = await plane.tenant();
  await plane.backends(other, { z: '1' });
  expect(shorts(await stream().ask({ typeUrl: clusterType }))).toEqual(['a', 'b', 'c']);
});

it('11. A request with names is answered with exactly those that exist, in full.', async () => {
  await commit({ a: '1', b: '1', c: '1' });
  const named = stream();
  const first = await named.ask({ typeUrl: clusterType, resourceNames: [name('a'), name('b'), name('missing')] });
  expect(shorts(first)).toEqual(['a', 'b']);
  named.ack(first, [name('a'), name('b'), name('missing')]);
  await commit({ a: '2', c: '2' });
  // Full state: also what did not change, and nothing that was not asked for.
  expect(shorts(await named.next())).toEqual(['a', 'b']);
});

it('12. Of a partial type only what was asked for is sent, and of a change only what changed, with a new version.', async () => {
  await commit({ a: '1', b: '1', c: '1' });
  const names = [name('a'), name('b')];
  const partial = stream();
  const first = await partial.ask({ typeUrl: endpointsType, resourceNames: names });
  expect(shorts(first)).toEqual(['a', 'b']);
  partial.ack(first, names);
  await commit({ b: '2', c: '2' });
  const second = await partial.next();
  expect(shorts(second)).toEqual(['b']);
  expect(second.version).not.toBe(first.version);
});

it('13. An ACK with unchanged names is not answered.', async () => {
  await commit({ a: '1' });
  const wildcard = stream();
  wildcard.ack(await wildcard.ask({ typeUrl: clusterType }));
  const named = await wildcard.ask({ typeUrl: endpointsType, resourceNames: [name('a')] });
  wildcard.ack(named, [name('a')]);
  wildcard.ack(named, [name('a')]);
  expect(await wildcard.fence()).toEqual([]);
});

it.each([0, 3])('14. A NACK with code %i is recorded, and its version is not sent again.', async (code) => {
  await commit({ a: '1' });
  const id = `nacking-${code}-${tenant}`;
  const refusing = stream();
  const first = await refusing.ask({ typeUrl: clusterType }, id);
  refusing.nack(first, [], { code, message: JSON.stringify([{ name: name('a'), error: 'no such thing' }]) });
  expect(await refusing.fence()).toEqual([]);
  const { lastNack } = await nodeStatus(plane.admin, id);
  expect(lastNack).toMatchObject({ current: true, refusals: [{ resource: name('a'), message: 'no such thing' }] });
  expect(plane.logger.lines).toContainEqual(
    expect.objectContaining({
      message: 'a subscriber refuses a response',
      fields: expect.objectContaining({ node: id, typeUrl: clusterType, nonce: first.nonce, version: first.version }),
    }),
  );
});

it('15. After the NACK of one version the next is sent, and its ACK clears the error.', async () => {
  await commit({ a: '1' });
  const id = `recovering-${tenant}`;
  const refusing = stream();
  refusing.ack(await refusing.ask({ typeUrl: clusterType }, id));
  await commit({ a: '2' });
  const second = await refusing.next();
  refusing.nack(second, [], { code: 3, message: 'no' });
  expect(await refusing.fence()).toEqual([]);
  expect((await nodeStatus(plane.admin, id)).lastNack).toMatchObject({ scope: tenant, revision: 2n, current: true });
  await commit({ a: '3' });
  const third = await refusing.next();
  expect(third.version).not.toBe(second.version);
  refusing.ack(third);
  await refusing.fence();
  const { lastNack, scopes } = await nodeStatus(plane.admin, id);
  expect(lastNack).toMatchObject({ revision: 2n, current: false });
  expect(scopes.find(({ scope }) => scope === tenant)).toMatchObject({ appliedRevision: 3n });
});

it('16. A request with a stale nonce counts for nothing: no answer, no change of what is subscribed.', async () => {
  await commit({ a: '1', b: '1' });
  const late = stream();
  const first = await late.ask({ typeUrl: endpointsType, resourceNames: [name('a')] });
  late.ack(first, [name('a')]);
  await commit({ a: '2' });
  const second = await late.next();
  // Answers the first response, and asks for something else: the second is on its way by now.
  late.ack(first, [name('b')]);
  expect(await late.fence()).toEqual([]);
  // Had it counted, this would name anew what was unsubscribed.
  late.ack(second, [name('a')]);
  expect(await late.fence()).toEqual([]);
  await commit({ b: '2' });
  expect(await late.fence()).toEqual([]);
});

it('17. Names that an ACK adds are sent although nothing changed.', async () => {
  await commit({ a: '1', b: '1' });
  const growing = stream();
  const endpoints = await growing.ask({ typeUrl: endpointsType, resourceNames: [name('a')] });
  growing.ack(endpoints, [name('a'), name('b')]);
  const more = await growing.next();
  expect(shorts(more)).toEqual(['b']);
  growing.ack(more, [name('a'), name('b')]);
  const clusters = await growing.ask({ typeUrl: clusterType, resourceNames: [name('a')] });
  growing.ack(clusters, [name('a'), name('b')]);
  // The cluster's first answer brings the endpoints about again: see 50.
  const answers = [await growing.next(), await growing.next()];
  expect(answers.find(({ typeUrl }) => typeUrl === clusterType)).toBeDefined();
  expect(shorts(answers.find(({ typeUrl }) => typeUrl === clusterType) as StateAnswer)).toEqual(['a', 'b']);
});

it('18. Names that are left out are not followed any more; named again they are sent, changed or not.', async () => {
  await commit({ a: '1', b: '1' });
  const names = [name('a'), name('b')];
  const shrinking = stream();
  const first = await shrinking.ask({ typeUrl: endpointsType, resourceNames: names });
  shrinking.ack(first, names);
  shrinking.ack(first, [name('a')]);
  await commit({ b: '2' });
  expect(await shrinking.fence()).toEqual([]);
  shrinking.ack(first, names);
  const again = await shrinking.next();
  expect(shorts(again)).toEqual(['b']);
  shrinking.ack(again, [name('b')]);
  shrinking.ack(again, names);
  expect(shorts(await shrinking.next())).toEqual(['a']);
});

it('19. No names after some names is no wildcard: everything is unsubscribed.', async () => {
  await commit({ a: '1' });
  const emptied = stream();
  const first = await emptied.ask({ typeUrl: clusterType, resourceNames: [name('a')] });
  emptied.ack(first, []);
  await commit({ a: '2', b: '2' });
  expect(await emptied.fence()).toEqual([]);
});

it('20. A wildcard with a name, then the name alone: the wildcard ends and the name stays.', async () => {
  await commit({ a: '1', b: '1' });
  const narrowing = stream();
  const first = await narrowing.ask({ typeUrl: clusterType, resourceNames: ['*', name('a')] });
  expect(shorts(first)).toEqual(['a', 'b']);
  narrowing.ack(first, [name('a')]);
  await commit({ b: '2' });
  expect(await narrowing.fence()).toEqual([]);
  await commit({ a: '2' });
  expect(shorts(await narrowing.next())).toEqual(['a']);
});

it('21. What is deleted is absent from the next response; without the last one the response is empty.', async () => {
  await commit({ a: '1', b: '1' });
  const wildcard = stream();
  wildcard.ack(await wildcard.ask({ typeUrl: clusterType }));
  await commit({ a: null });
  const without = await untilWithout(wildcard, 'a');
  expect(shorts(without)).toEqual(['b']);
  await commit({ b: null });
  expect((await untilWithout(wildcard, 'b')).bodies).toEqual([]);
});

/** Acknowledges responses until one lacks a name: what goes is kept until the end of its round, see 49. */
async function untilWithout(from: StateStream, short: string): Promise<StateAnswer> {
  for (;;) {
    const answer = await from.next();
    from.ack(answer);
    if (!shorts(answer).includes(short)) return answer;
  }
}

it('22. What was asked for and missing is sent when it is created, without another request.', async () => {
  const early = stream();
  const first = await early.ask({ typeUrl: endpointsType, resourceNames: [name('late')] });
  expect(first.bodies).toEqual([]);
  early.ack(first, [name('late')]);
  await commit({ late: '1' });
  expect(shorts(await early.next())).toEqual(['late']);
});

it('23. A reconnect with the current version gets the same version again or nothing, and a new name is answered.', async () => {
  await commit({ a: '1', b: '1' });
  const before = stream();
  const wildcard = await before.ask({ typeUrl: clusterType });
  before.cancel();
  const after = stream();
  const again = await after.ask({ typeUrl: clusterType, versionInfo: wildcard.version });
  expect(again.version).toBe(wildcard.version);
  const named = stream();
  const first = await named.ask({ typeUrl: endpointsType, resourceNames: [name('a')] });
  named.cancel();
  const returned = stream();
  const names = [name('a'), name('b')];
  const both = await returned.ask({ typeUrl: endpointsType, versionInfo: first.version, resourceNames: names });
  expect(shorts(both)).toContain('b');
});

it('24. One response of a type is unanswered at most; what changes meanwhile is in the next, as it is then.', async () => {
  await commit({ a: '1' });
  const slow = stream();
  const first = await slow.ask({ typeUrl: clusterType });
  await commit({ a: '2', b: '2' });
  await commit({ a: '3' });
  await commit({ a: '4', c: '4' });
  expect(await slow.fence()).toEqual([]);
  slow.ack(first);
  const next = await slow.next();
  expect(shorts(next)).toEqual(['a', 'b', 'c']);
  slow.ack(next);
  expect(await slow.fence()).toEqual([]);
  const fresh = await stream().ask({ typeUrl: clusterType });
  expect(next.bodies.toSorted()).toEqual(fresh.bodies.toSorted());
});

it('25. No name stands twice in a response, and every resource is of the type of the response.', async () => {
  const resources = [
    ...route(tenant, 'r', 'a'),
    { kind: 'Backend', tenant, name: 'a', spec: { mcp: { url: 'http://127.0.0.1:1/' } } },
  ];
  await seen({ typeUrl: routesType, short: 'r' }, () => plane.admin.config.apply({ scope: tenant, resources }));
  const all = stream();
  for (const typeUrl of [clusterType, endpointsType, listenerType, routesType]) {
    const names = ['*', name('a'), name('r'), name('r')];
    const answer = await all.ask({ typeUrl, resourceNames: names });
    all.ack(answer, names);
    expect(answer.bodies).toHaveLength(1);
    expect(new Set(answer.bodies).size).toBe(answer.bodies.length);
    expect(answer.innerTypes).toEqual(answer.bodies.map(() => typeUrl));
  }
});
