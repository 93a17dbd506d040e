import { describe, expect, it } from 'vitest';
import type { ResourceFamily } from './family.ts';
import { leafType, sealType, type TestChange, testName, twigType } from './testing/memory-source.ts';
import { SessionDriver, type SeenResponse } from './testing/session-driver.ts';

const leaf = (collection: string, name: string) => testName(leafType, collection, name);
const seal = (collection: string) => testName(sealType, collection, 'current');

/** What responses say, without nonces and sizes. */
function say(responses: readonly SeenResponse[]) {
  return responses.map(({ type, updated, removed }) => ({ type, updated, removed }));
}

function leaves(updated: readonly string[], removed: readonly string[] = []) {
  return { type: leafType, updated, removed };
}

function withLeaves(texts: Readonly<Record<string, string>>): SessionDriver {
  const driver = new SessionDriver();
  driver.source.commit('acme', { leaves: texts });
  return driver;
}

/** A driver whose client has subscribed to leaves with a wildcard and acknowledged them. */
function following(texts: Readonly<Record<string, string>>): SessionDriver {
  const driver = withLeaves(texts);
  driver.settle(driver.request({ typeUrl: leafType }));
  return driver;
}

// Numbers in brackets: items of the acceptance list for discovery.

describe('stream and identity', () => {
  it('ends a stream whose first request has no node id, without data [1]', () => {
    const driver = withLeaves({ a: '1' });
    expect(driver.raw({ typeUrl: leafType })).toEqual([]);
    expect(driver.effectsOf('close')).toMatchObject([{ end: { code: 3 } }]);
  });

  it('takes the node from the first request and accepts it again later [2]', () => {
    const driver = following({ a: '1' });
    expect(driver.raw({ typeUrl: leafType, node: { id: 'node-1' } })).toEqual([]);
    expect(driver.effectsOf('close')).toEqual([]);
  });

  it('ends a stream that changes its node id [2]', () => {
    const driver = following({ a: '1' });
    driver.raw({ typeUrl: leafType, node: { id: 'node-2' } });
    expect(driver.effectsOf('close')).toMatchObject([{ end: { code: 3 } }]);
  });

  it('ends a stream that names no type [4]', () => {
    const driver = withLeaves({});
    driver.request({});
    expect(driver.effectsOf('close')).toMatchObject([{ end: { code: 3 } }]);
  });

  it('answers names of an unknown type as removed and goes on [4]', () => {
    const driver = following({ a: '1' });
    const [response] = driver.request({ typeUrl: 'test/Unknown', resourceNamesSubscribe: ['x'] });
    expect(response).toMatchObject({ type: 'test/Unknown', updated: [], removed: ['x'] });
    expect(driver.effectsOf('unknown-type')).toHaveLength(1);
    driver.ack(response);
    driver.source.commit('acme', { leaves: { a: '2' } });
    expect(say(driver.take())).toEqual([leaves([`${leaf('acme', 'a')}=2`])]);
  });

  it('keeps nonce and subscription of each type apart [6]', () => {
    const driver = new SessionDriver();
    driver.source.commit('acme', { leaves: { a: '1' }, twigs: { t: '1' } });
    const [first] = driver.request({ typeUrl: leafType });
    const [second] = driver.request({ typeUrl: twigType });
    expect(first?.nonce).not.toBe(second?.nonce);
    // The nonce of one type answers nothing of the other.
    driver.ack({ ...(first as SeenResponse), type: twigType });
    expect(driver.session.types.get(twigType)?.inFlight?.nonce).toBe(second?.nonce);
    expect(driver.session.types.get(leafType)?.inFlight?.nonce).toBe(first?.nonce);
  });

  it('bounds the names and the types of a stream [9]', () => {
    const names = new SessionDriver();
    names.request({ typeUrl: leafType, resourceNamesSubscribe: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] });
    expect(names.effectsOf('close')).toMatchObject([{ end: { code: 8 } }]);
    const types = new SessionDriver();
    for (const typeUrl of ['t/1', 't/2', 't/3', 't/4', 't/5']) types.request({ typeUrl });
    expect(types.effectsOf('close')).toMatchObject([{ end: { code: 8 } }]);
  });
});

describe('delta subscriptions', () => {
  it('takes a first request without names as a wildcard and answers it even if empty [26]', () => {
    const driver = new SessionDriver();
    expect(say(driver.request({ typeUrl: leafType }))).toEqual([leaves([])]);
    const full = withLeaves({ a: '1' });
    expect(say(full.request({ typeUrl: leafType }))).toEqual([leaves([`${leaf('acme', 'a')}=1`])]);
  });

  it('takes * as a wildcard [27]', () => {
    const driver = withLeaves({ a: '1' });
    expect(say(driver.request({ typeUrl: leafType, resourceNamesSubscribe: ['*'] }))).toEqual([
      leaves([`${leaf('acme', 'a')}=1`]),
    ]);
  });

  it('sends nothing to a first request that takes back its own wildcard [27]', () => {
    const driver = withLeaves({ a: '1' });
    const request = { typeUrl: leafType, resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] };
    expect(driver.request(request)).toEqual([]);
    driver.source.commit('acme', { leaves: { a: '2' } });
    expect(driver.take()).toEqual([]);
  });

  it('keeps a legacy wildcard when a name is added [28]', () => {
    const driver = following({ a: '1', b: '1' });
    const added = driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'a')] });
    expect(say(added)).toEqual([leaves([`${leaf('acme', 'a')}=1`])]);
    driver.settle(added);
    driver.source.commit('acme', { leaves: { b: '2' } });
    expect(say(driver.take())).toEqual([leaves([`${leaf('acme', 'b')}=2`])]);
  });

  it('sends only what was updated, with a new nonce [29]', () => {
    const driver = withLeaves({ a: '1', b: '1' });
    const [first] = driver.settle(driver.request({ typeUrl: leafType }));
    driver.source.commit('acme', { leaves: { b: '2' } });
    const [second] = driver.take();
    expect(second).toMatchObject(leaves([`${leaf('acme', 'b')}=2`]));
    expect(second?.nonce).not.toBe(first?.nonce);
  });

  it('sends a deleted name once, and only to streams that could see it [30]', () => {
    const driver = following({ a: '1', b: '1' });
    driver.source.commit('acme', { leaves: { a: null } });
    expect(say(driver.settle())).toEqual([leaves([], [leaf('acme', 'a')])]);
    driver.source.commit('acme', { leaves: { b: '2' } });
    expect(say(driver.take())).toEqual([leaves([`${leaf('acme', 'b')}=2`])]);

    const other = new SessionDriver(new Set(['globex']));
    other.source.commit('acme', { leaves: { a: '1' } });
    other.settle(other.request({ typeUrl: leafType }));
    other.source.commit('acme', { leaves: { a: null } });
    expect(other.take()).toEqual([]);
  });

  it('answers a missing name as removed and sends it once it exists [31]', () => {
    const driver = withLeaves({});
    const answer = driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'late')] });
    expect(say(answer)).toEqual([leaves([], [leaf('acme', 'late')])]);
    driver.settle(answer);
    driver.source.commit('acme', { leaves: { late: '1', other: '1' } });
    expect(say(driver.take())).toEqual([leaves([`${leaf('acme', 'late')}=1`])]);
  });

  it('sends a name again when it is subscribed again [32]', () => {
    const driver = withLeaves({ a: '1' });
    const request = { typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'a')] };
    driver.settle(driver.request(request));
    expect(say(driver.request(request))).toEqual([leaves([`${leaf('acme', 'a')}=1`])]);
  });

  it('ignores the unsubscription of an unknown name [33]', () => {
    const driver = following({ a: '1' });
    expect(driver.request({ typeUrl: leafType, resourceNamesUnsubscribe: ['nobody'] })).toEqual([]);
    driver.source.commit('acme', { leaves: { a: '2' } });
    expect(driver.take()).toHaveLength(1);
  });

  it.each([
    { state: 'exists', text: '2', answer: leaves([`${leaf('acme', 'a')}=2`]) },
    { state: 'is gone', text: null, answer: leaves([], [leaf('acme', 'a')]) },
  ])('answers the unsubscription of a name that $state under a wildcard [34]', ({ text, answer }) => {
    const driver = following({ a: '1' });
    driver.settle(driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'a')] }));
    driver.source.commit('acme', { leaves: { a: text } });
    driver.settle();
    expect(say(driver.request({ typeUrl: leafType, resourceNamesUnsubscribe: [leaf('acme', 'a')] }))).toEqual([answer]);
  });

  it('does not answer another unsubscription, and stops sending [35]', () => {
    const driver = withLeaves({ a: '1' });
    const name = leaf('acme', 'a');
    driver.settle(driver.request({ typeUrl: leafType, resourceNamesSubscribe: [name] }));
    expect(driver.request({ typeUrl: leafType, resourceNamesUnsubscribe: [name] })).toEqual([]);
    driver.source.commit('acme', { leaves: { a: '2' } });
    expect(driver.take()).toEqual([]);
  });

  it('honours names under a stale nonce, and takes it for no answer [36]', () => {
    const driver = withLeaves({ a: '1', b: '1' });
    const [first] = driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'a')] });
    const stale = { typeUrl: leafType, responseNonce: 'stale', resourceNamesSubscribe: [leaf('acme', 'b')] };
    expect(driver.request(stale)).toEqual([]);
    expect(driver.session.types.get(leafType)?.inFlight?.nonce).toBe(first?.nonce);
    expect(say(driver.ack(first))).toEqual([leaves([`${leaf('acme', 'b')}=1`])]);
  });

  it('honours names that a NACK subscribes [37]', () => {
    const driver = withLeaves({ a: '1', b: '1' });
    const [first] = driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'a')] });
    const answer = driver.ack(first, {
      errorDetail: { code: 0, message: 'no' },
      resourceNamesSubscribe: [leaf('acme', 'b')],
    });
    expect(say(answer)).toEqual([leaves([`${leaf('acme', 'b')}=1`])]);
    expect(driver.effectsOf('nacked')).toHaveLength(1);
  });

  it('sends nothing that the client holds already, and answers a wildcard all the same [38]', () => {
    const held = { [leaf('acme', 'a')]: '1' };
    const driver = withLeaves({ a: '1' });
    expect(say(driver.request({ typeUrl: leafType, initialResourceVersions: held }))).toEqual([leaves([])]);
    const named = withLeaves({ a: '1' });
    const request = { typeUrl: leafType, initialResourceVersions: held, resourceNamesSubscribe: [leaf('acme', 'a')] };
    expect(named.request(request)).toEqual([]);
  });

  it('sends only what is outdated at the client [39]', () => {
    const driver = withLeaves({ a: '1', b: '2' });
    const held = { [leaf('acme', 'a')]: '1', [leaf('acme', 'b')]: '1' };
    expect(say(driver.request({ typeUrl: leafType, initialResourceVersions: held }))).toEqual([
      leaves([`${leaf('acme', 'b')}=2`]),
    ]);
  });

  it('lists what the client holds and what is no more as removed [40]', () => {
    const driver = withLeaves({ a: '1' });
    const held = { [leaf('acme', 'a')]: '1', [leaf('acme', 'b')]: '1', [leaf('gone', 'c')]: '1' };
    expect(say(driver.request({ typeUrl: leafType, initialResourceVersions: held }))).toEqual([
      leaves([], [leaf('acme', 'b'), leaf('gone', 'c')]),
    ]);
  });

  it('takes held versions as knowledge only [42]', () => {
    const driver = withLeaves({ a: '1', b: '2' });
    const held = { [leaf('acme', 'b')]: '1', [leaf('acme', 'c')]: '1' };
    const request = { typeUrl: leafType, initialResourceVersions: held, resourceNamesSubscribe: [leaf('acme', 'a')] };
    expect(say(driver.request(request))).toEqual([leaves([`${leaf('acme', 'a')}=1`])]);
  });

  it('gives every response a type and a nonce of its own [43]', () => {
    const driver = following({ a: '1' });
    const all = ['2', '3', '4'].flatMap((text) => {
      driver.source.commit('acme', { leaves: { a: text } });
      return driver.settle();
    });
    expect(all.every(({ type, nonce }) => type === leafType && nonce !== '')).toBe(true);
    expect(new Set(all.map(({ nonce }) => nonce)).size).toBe(all.length);
  });

  it('takes a glob as a subscription to present and future members of a collection [44]', () => {
    const driver = withLeaves({ a: '1' });
    driver.source.commit('globex', { leaves: { z: '1' } });
    const glob = driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', '*')] });
    expect(say(glob)).toEqual([leaves([`${leaf('acme', 'a')}=1`])]);
    driver.settle(glob);
    driver.source.commit('acme', { leaves: { b: '1' } });
    expect(say(driver.settle())).toEqual([leaves([`${leaf('acme', 'b')}=1`])]);
    driver.source.commit('acme', { leaves: { b: null } });
    expect(say(driver.settle())).toEqual([leaves([], [leaf('acme', 'b')])]);
    driver.source.commit('globex', { leaves: { z: '2' } });
    expect(driver.take()).toEqual([]);
  });

  it('answers an empty glob with its name as removed [44]', () => {
    const driver = withLeaves({});
    const glob = leaf('nowhere', '*');
    expect(say(driver.request({ typeUrl: leafType, resourceNamesSubscribe: [glob] }))).toEqual([leaves([], [glob])]);
  });

  it('takes names that differ in the order of parameters as equal, and answers with the name asked for [45]', () => {
    const driver = withLeaves({ 'a?x=1&y=2': '1' });
    const asked = `${leaf('acme', 'a')}?y=2&x=1`;
    const answer = driver.request({ typeUrl: leafType, resourceNamesSubscribe: [asked] });
    expect(say(answer)).toEqual([leaves([`${asked}=1`])]);
    driver.settle(answer);
    driver.source.commit('acme', { leaves: { 'a?x=1&y=2': '2' } });
    expect(say(driver.take())).toEqual([leaves([`${asked}=2`])]);
  });

  it('answers with the name asked for under a wildcard too [45]', () => {
    const driver = following({ 'a?x=1&y=2': '1' });
    const asked = `${leaf('acme', 'a')}?y=2&x=1`;
    driver.settle(driver.request({ typeUrl: leafType, resourceNamesSubscribe: [asked] }));
    driver.source.commit('acme', { leaves: { 'a?x=1&y=2': '2' } });
    expect(say(driver.take())).toEqual([leaves([`${asked}=2`])]);
  });

  it('splits a large response: rising nonces, removals last, one part unanswered at a time [47]', () => {
    const driver = new SessionDriver('all', 1_024);
    const texts = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`leaf-${i}`, 'x'.repeat(100)]));
    driver.source.commit('acme', { leaves: texts });
    const held = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [leaf('acme', `gone-${i}`), '1']));
    const first = driver.request({ typeUrl: leafType, initialResourceVersions: held });
    expect(first).toHaveLength(1);
    const parts = driver.settle(first);
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.every(({ bytes }) => bytes < 1_024)).toBe(true);
    expect(parts.flatMap(({ updated }) => updated)).toHaveLength(8);
    expect(parts.flatMap(({ removed }) => removed)).toHaveLength(20);
    const firstRemoval = parts.findIndex(({ removed }) => removed.length > 0);
    expect(parts.slice(firstRemoval + 1).every(({ updated }) => updated.length === 0)).toBe(true);
    const nonces = parts.map(({ nonce }) => Number(nonce));
    expect(nonces).toEqual(nonces.toSorted((a, b) => a - b));
  });
});

describe('rounds', () => {
  /** A driver with a client that follows all types. */
  function followingAll(): SessionDriver {
    const driver = new SessionDriver();
    driver.source.commit('acme', { leaves: { a: '1' }, twigs: { t: '1' } });
    const types = [leafType, twigType, sealType];
    driver.settle(types.flatMap((typeUrl) => driver.request({ typeUrl, resourceNamesSubscribe: ['*'] })));
    return driver;
  }

  /** Leaves that do not fit into one response of {@link withParts}. */
  const twoParts = { a: 'a'.repeat(300), b: 'b'.repeat(300) };

  /** A driver for which `twoParts` is more than fits into a response, and seals are not. */
  function withParts(before: TestChange): SessionDriver {
    const driver = new SessionDriver('all', 1_700);
    driver.source.commit('acme', { leaves: before });
    return driver;
  }

  it('sends data in family order and the closing type right behind, without waiting for answers', () => {
    const driver = followingAll();
    driver.source.commit('acme', { twigs: { t: '2' }, leaves: { a: '2' } });
    const round = driver.take();
    expect(round.map(({ type }) => type)).toEqual([leafType, twigType, sealType]);
    expect(round.at(-1)?.updated).toEqual([`${seal('acme')}=seal 2`]);
    expect(round.toReversed().flatMap((response) => driver.ack(response))).toEqual([]);
  });

  it('holds the closing type back while a part of the data has not been sent', () => {
    const driver = withParts(twoParts);
    const [part] = driver.request({ typeUrl: leafType });
    expect(driver.request({ typeUrl: sealType })).toEqual([]);
    const [last, closing] = driver.ack(part);
    expect([last?.type, closing?.type]).toEqual([leafType, sealType]);
    expect(closing?.updated).toEqual([`${seal('acme')}=seal 1`]);
  });

  it('folds what changes during a round into the next one', () => {
    const driver = followingAll();
    driver.source.commit('acme', { leaves: { a: '2' } });
    const [data, closing] = driver.take();
    driver.source.commit('acme', { leaves: { a: '3', b: '3' } });
    driver.source.commit('acme', { leaves: { a: '4' } });
    expect(driver.take()).toEqual([]);
    expect(closing?.updated).toEqual([`${seal('acme')}=seal 2`]);
    expect(driver.ack(data)).toEqual([]);
    const [next] = driver.ack(closing);
    expect(say(next ? [next] : [])).toEqual([leaves([`${leaf('acme', 'a')}=4`, `${leaf('acme', 'b')}=3`])]);
  });

  it('serves what is asked for during a round as of the round', () => {
    const driver = followingAll();
    driver.source.commit('acme', { leaves: { a: '2' } });
    const [data] = driver.take();
    driver.source.commit('acme', { leaves: { a: '3' } });
    driver.request({ typeUrl: leafType, resourceNamesSubscribe: [leaf('acme', 'a')] });
    expect(say(driver.ack(data))).toEqual([leaves([`${leaf('acme', 'a')}=2`])]);
  });

  it('pays in one response what a change and a request owe of the closing type', () => {
    const driver = withParts({ a: '1' });
    const types = [leafType, sealType];
    driver.settle(types.flatMap((typeUrl) => driver.request({ typeUrl, resourceNamesSubscribe: ['*'] })));
    driver.source.commit('globex', { leaves: twoParts });
    const [part] = driver.take();
    expect(driver.request({ typeUrl: sealType, resourceNamesSubscribe: ['*'] })).toEqual([]);
    const [, closing] = driver.ack(part);
    expect(closing?.updated.toSorted()).toEqual([`${seal('acme')}=seal 1`, `${seal('globex')}=seal 1`]);
  });

  it('closes a round whose data was refused, so that the node answers for the revision', () => {
    const driver = followingAll();
    driver.source.commit('acme', { leaves: { a: '2' } });
    const [data, closing] = driver.take();
    expect(driver.nack(data, JSON.stringify([{ name: leaf('acme', 'a'), error: 'too big' }]))).toEqual([]);
    expect(closing?.type).toBe(sealType);
    expect(driver.effectsOf('nacked')).toMatchObject([
      {
        refusal: {
          closesRound: false,
          collections: [{ id: 'acme', revision: 2n }],
          faults: [{ name: leaf('acme', 'a'), error: 'too big' }],
        },
      },
    ]);
  });

  it('does not send a refused version again; the next revision goes out', () => {
    const driver = followingAll();
    driver.source.commit('acme', { leaves: { a: '2' } });
    const [data, closing] = driver.take();
    driver.ack(data);
    expect(driver.nack(closing, 'no')).toEqual([]);
    driver.source.commit('acme', { leaves: { a: '3' } });
    expect(say(driver.settle())).toEqual([
      leaves([`${leaf('acme', 'a')}=3`]),
      { type: sealType, updated: [`${seal('acme')}=seal 3`], removed: [] },
    ]);
    expect(driver.effectsOf('acked').at(-1)?.collections).toEqual([{ id: 'acme', revision: 3n }]);
  });

  it('reports which revisions were sent and acknowledged', () => {
    const driver = followingAll();
    expect(driver.effectsOf('acked').map(({ collections }) => collections)).toEqual([[{ id: 'acme', revision: 1n }]]);
    driver.source.commit('globex', { leaves: { z: '1' } });
    const [data, closing] = driver.take();
    expect(driver.effectsOf('sent').at(-1)?.collections).toEqual([{ id: 'globex', revision: 1n }]);
    driver.ack(data);
    expect(driver.effectsOf('acked')).toHaveLength(1);
    driver.ack(closing);
    expect(driver.effectsOf('acked').at(-1)?.collections).toEqual([{ id: 'globex', revision: 1n }]);
  });

  it('removes all names of a collection that is gone, data before the seal', () => {
    const driver = followingAll();
    driver.source.commit('globex', { leaves: { z: '1' } });
    driver.settle();
    driver.source.drop('globex');
    expect(say(driver.settle())).toEqual([
      leaves([], [leaf('globex', 'z')]),
      { type: sealType, updated: [], removed: [seal('globex')] },
    ]);
    expect(driver.effectsOf('acked').at(-1)?.collections).toEqual([{ id: 'globex', revision: undefined }]);
  });

  it('counts a revision as acknowledged when the client holds it already', () => {
    const driver = withLeaves({ a: '1' });
    driver.settle(driver.request({ typeUrl: leafType, initialResourceVersions: { [leaf('acme', 'a')]: '1' } }));
    driver.settle(driver.request({ typeUrl: sealType, initialResourceVersions: { [seal('acme')]: 'seal 1' } }));
    expect(driver.effectsOf('acked').map(({ collections }) => collections)).toEqual([[{ id: 'acme', revision: 1n }]]);
  });

  it('shows a stream only the collections that it may see', () => {
    const driver = new SessionDriver(new Set(['acme']));
    driver.source.commit('acme', { leaves: { a: '1' } });
    driver.source.commit('globex', { leaves: { z: '1' } });
    expect(say(driver.request({ typeUrl: leafType }))).toEqual([leaves([`${leaf('acme', 'a')}=1`])]);
    const asked = [leaf('globex', 'z'), leaf('globex', '*')];
    const [data] = [...driver.session.types.values()].map(({ inFlight }) => inFlight?.nonce);
    const answer = driver.request({ typeUrl: leafType, resourceNamesSubscribe: asked, responseNonce: data ?? '' });
    expect(say(answer)).toEqual([leaves([], [leaf('globex', '*'), leaf('globex', 'z')])]);
    driver.settle(answer);
    driver.source.commit('globex', { leaves: { z: '2' } });
    expect(driver.take()).toEqual([]);
  });
});

describe('a type that awaits earlier ones', () => {
  it('is sent only when everything before it has been answered', () => {
    const driver = withLeaves({ a: '1' });
    driver.family = {
      name: 'test',
      types: [
        { typeUrl: leafType, closesRound: false },
        { typeUrl: twigType, closesRound: false, awaitsEarlier: true },
      ],
    };
    driver.settle(driver.request({ typeUrl: leafType }));
    driver.settle(driver.request({ typeUrl: twigType }));
    driver.source.commit('acme', { leaves: { a: '2' }, twigs: { t: '1' } });
    const [leafResponse, ...others] = driver.take();
    expect([leafResponse?.type, others]).toEqual([leafType, []]);
    expect(say(driver.ack(leafResponse))).toMatchObject([{ type: twigType, removed: [] }]);
  });
});

describe('a type that removes late', () => {
  const lateFamily: ResourceFamily = {
    name: 'test',
    types: [
      { typeUrl: leafType, closesRound: false, removesLate: true },
      { typeUrl: twigType, closesRound: false },
    ],
  };

  /** A stream on which a leaf has gone and a twig was sent, neither answered. */
  function withoutAnswers() {
    const driver = withLeaves({ a: '1', b: '1' });
    driver.family = lateFamily;
    driver.settle(driver.request({ typeUrl: leafType }));
    driver.settle(driver.request({ typeUrl: twigType }));
    driver.source.commit('acme', { leaves: { a: null }, twigs: { t: '1' } });
    return { driver, sent: driver.take() };
  }

  it('does so when the rest of the round was answered', () => {
    const { driver, sent } = withoutAnswers();
    expect(say(sent)).toMatchObject([{ type: twigType, removed: [] }]);
    expect(say(driver.ack(sent[0]))).toEqual([leaves([], [leaf('acme', 'a')])]);
  });

  it('does so without that answer when it takes too long, once, and the round still waits for the answer', () => {
    const { driver, sent } = withoutAnswers();
    const late = driver.overdue();
    expect(say(late)).toEqual([leaves([], [leaf('acme', 'a')])]);
    expect(driver.overdue()).toEqual([]);
    driver.source.commit('acme', { leaves: { c: '1' } });
    expect(driver.take()).toEqual([]);
    expect([...driver.ack(late[0]), ...driver.ack(sent[0])].map(({ updated }) => updated)).toEqual([
      [`${leaf('acme', 'c')}=1`],
    ]);
  });

  it('does not while a response of its own is unanswered', () => {
    const driver = withLeaves({ a: '1', b: '1' });
    driver.family = lateFamily;
    driver.settle(driver.request({ typeUrl: leafType }));
    driver.source.commit('acme', { leaves: { a: null, b: '2' } });
    const [update] = driver.take();
    expect(driver.overdue()).toEqual([]);
    expect(say(driver.ack(update))).toEqual([leaves([], [leaf('acme', 'a')])]);
  });
});
