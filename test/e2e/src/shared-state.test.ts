import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  defaultNodesLimits,
  MemoryHub,
  MemoryState,
  NodeCalls,
  openSharedState,
  readProxySettings,
  type NodeFailure,
  type NodesLimits,
  randomSessionKeys,
  RedisState,
  type SharedState,
  SharedStateError,
  type StateAnswer,
  StateHub,
  type StateRequest,
  WorkerState,
} from '@signalbox/proxy/testing';
import { jsonLogger, Metrics, Secret, systemClock, systemRandom } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { freePort, startTcpProxy, startTestRedis, testAuthority, type TcpProxy, until } from '@signalbox/test-harness';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

const redis = await startTestRedis();
const sessionKeys = randomSessionKeys(systemRandom);
const logger = jsonLogger('silent');

/** Where the nodes of one test meet. */
interface Meeting {
  join(name: string, keys?: typeof sessionKeys): SharedState;
}

interface Implementation {
  readonly name: string;
  readonly meet: (limits: NodesLimits) => Meeting;
}

const inMemory: Implementation = {
  name: 'in memory',
  meet: (limits) => {
    const hub = new MemoryHub(systemClock, limits);
    return { join: (name) => new MemoryState(hub, name) };
  },
};

/** As between processes: what is said is text, and comes later. */
const betweenWorkers: Implementation = {
  name: 'between workers',
  meet: (limits) => {
    const hub = new StateHub(systemClock, limits);
    const copied = <T>(message: T): T => JSON.parse(JSON.stringify(message)) as T;
    return {
      join: (name) => {
        let onAnswer: (answer: StateAnswer) => void = () => undefined;
        const seat = hub.seat((answer) => void setImmediate(() => onAnswer(copied(answer))));
        const send = (request: StateRequest): Promise<void> =>
          new Promise((resolve) => {
            setImmediate(() => {
              seat.take(copied(request));
              resolve();
            });
          });
        return new WorkerState({ send, onAnswer: (listener) => void (onAnswer = listener) }, name, limits);
      },
    };
  },
};

let meetings = 0;

function redisNode(
  url: string,
  prefix: string,
  self: string,
  more: Partial<{ limits: NodesLimits; keys: typeof sessionKeys }> = {},
): RedisState {
  const { limits = defaultNodesLimits, keys = sessionKeys } = more;
  const address = { url: new Secret(url), user: '', password: undefined, tls: {} };
  const times = { connectMs: 1_000, commandMs: 500, retryMinMs: 5, retryMaxMs: 50, pendingBytes: 1_000_000 };
  const kit = { clock: systemClock, random: systemRandom, logger, metrics: new Metrics() };
  return new RedisState({ ...kit, ...times, address, self, prefix, sessionKeys: keys, limits });
}

const inRedis = (url: string, prefix: string): Implementation => ({
  name: 'in Redis',
  meet: (limits) => {
    meetings += 1;
    const own = `${prefix}${meetings}:`;
    return { join: (name, keys = sessionKeys) => redisNode(url, own, name, { limits, keys }) };
  },
});

const running: SharedState[] = [];

/** Starts a node and waits until the others can reach it. */
async function start<T extends SharedState>(state: T): Promise<T> {
  running.push(state);
  state.start();
  await until(`${state.self} to be there`, () =>
    state.mail.isPresent(state.self).then((is) => (is ? true : undefined)),
  );
  return state;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((state) => state.stop()));
});

afterAll(() => redis?.stop());

const implementations = [inMemory, betweenWorkers, ...(redis ? [inRedis(redis.url, redis.prefix)] : [])];
const key = { tenant: 'acme', session: 'session-1' };
const stream = { ...key, stream: 'stream-1' };

describe.each(implementations)('what nodes share $name', ({ meet }) => {
  const pair = async (limits: Partial<NodesLimits> = {}): Promise<readonly [SharedState, SharedState]> => {
    const meeting = meet({ ...defaultNodesLimits, ...limits });
    return [await start(meeting.join('a')), await start(meeting.join('b'))];
  };

  it('takes a letter to the node that it is for, in order, and says when nobody is there', async () => {
    const [a, b] = await pair();
    const [atA, atB] = [[] as string[], [] as string[]];
    a.mail.onLetter((letter) => atA.push(letter));
    b.mail.onLetter((letter) => atB.push(letter));
    expect(await Promise.all(['1', '2', '3'].map((letter) => a.mail.send('b', letter)))).toEqual([true, true, true]);
    await a.mail.broadcast('to all');
    await until('the letters', () => (atB.length === 4 ? true : undefined));
    expect(atB).toEqual(['1', '2', '3', 'to all']);
    expect(atA).toEqual([]);
    expect(await a.mail.send('c', 'x')).toBe(false);
    expect([await a.mail.isPresent('b'), await a.mail.isPresent('c')]).toEqual([true, false]);
    await b.stop();
    expect(await a.mail.send('b', 'x')).toBe(false);
    expect(await a.mail.isPresent('b')).toBe(false);
  });

  it('tells every node of sessions that are over, also one that comes later, until they would have ended anyway', async () => {
    const meeting = meet(defaultNodesLimits);
    const [a, b] = [await start(meeting.join('a')), await start(meeting.join('b'))];
    const heard = { a: [] as string[], b: [] as string[], c: [] as string[] };
    a.endings.onEnding((name) => heard.a.push(name));
    b.endings.onEnding((name) => heard.b.push(name));
    a.endings.announce('over', systemClock.now() - 1);
    a.endings.announce('one', systemClock.now() + 60_000);
    b.endings.announce('two', systemClock.now() + 60_000);
    await until('the news', () => (heard.b.includes('one') && heard.a.includes('two') ? true : undefined));
    const c = meeting.join('c');
    c.endings.onEnding((name) => heard.c.push(name));
    await start(c);
    await until('what was before', () => (heard.c.length >= 2 ? true : undefined));
    expect(heard.c).toEqual(['one', 'two']);
  });

  it('keeps the facts of a session for its life, apart from those of every other tenant', async () => {
    const [a, b] = await pair();
    await a.records.put(key, 'facts', 60_000);
    await a.records.put({ tenant: 'a:b', session: 'c' }, 'of a:b', 60_000);
    expect(await b.records.get(key)).toBe('facts');
    expect(await b.records.get({ tenant: 'other', session: key.session })).toBeUndefined();
    expect(await b.records.get({ tenant: 'a', session: 'b:c' })).toBeUndefined();
    await b.records.delete(key);
    expect(await a.records.get(key)).toBeUndefined();
    await a.records.put(key, 'short', 20);
    await until('the end of its life', async () => ((await b.records.get(key)) === undefined ? true : undefined));
    await expect(a.records.put(key, 'x'.repeat(defaultNodesLimits.recordBytes + 1), 1_000)).rejects.toThrow(
      SharedStateError,
    );
  });

  it('gives the events of a stream to a node that reads on behind the last one it has', async () => {
    const [a, b] = await pair();
    const writer = a.events.begin(stream, 'about it');
    const rung = [] as string[];
    using _watch = b.events.watch(stream, () => rung.push('more'));
    for (const text of ['one', 'two\n', 'drei ü']) writer.append(text);
    expect(writer.next).toBe(4);
    const read = await until('the events', async () => {
      const found = await b.events.read(stream, 1);
      return found?.events.length === 2 ? found : undefined;
    });
    expect(read).toEqual({
      about: 'about it',
      events: [
        { position: 2, text: 'two\n' },
        { position: 3, text: 'drei ü' },
      ],
      isClosed: false,
    });
    writer.close();
    await until('the end', async () => ((await b.events.read(stream, 3))?.isClosed === true ? true : undefined));
    await until('the doorbell', () => (rung.length > 0 ? true : undefined));
    expect(await b.events.read({ ...stream, session: 'session-2' }, 0)).toBeUndefined();
    expect(await b.events.read({ ...stream, tenant: 'other' }, 0)).toBeUndefined();
  });

  it('lets the oldest events of a stream go beyond its bounds', async () => {
    const [a, b] = await pair({ streamEvents: 3, streamEventBytes: 100 });
    const many = a.events.begin(stream, '');
    for (let i = 1; i <= 5; i += 1) many.append(`event ${i}`);
    const large = a.events.begin({ ...stream, stream: 'large' }, '');
    for (let i = 1; i <= 3; i += 1) large.append('x'.repeat(60));
    large.append('x'.repeat(200));
    large.append('y');
    const positions = async (name: string): Promise<readonly number[]> =>
      (await b.events.read({ ...stream, stream: name }, 0))?.events.map(({ position }) => position) ?? [];
    await until('the last event', async () => ((await positions('large')).at(-1) === 5 ? true : undefined));
    expect(await positions('stream-1')).toEqual([3, 4, 5]);
    expect(await positions('large')).toEqual([5]);
  });

  it('lets the events of a stream go some time behind the last one', async () => {
    const [a, b] = await pair({ streamEventMs: 50 });
    a.events.begin(stream, '').append('one');
    const left = async () => ((await b.events.read(stream, 0)) === undefined ? 'nothing' : undefined);
    expect(await until('the end of its time', left)).toBe('nothing');
  });
});

describe.each(implementations)('a conversation between nodes $name', ({ meet }) => {
  /** Patience and leases are looked at by a clock that stands still until it is told. */
  const callsOf = (state: SharedState, limits: NodesLimits, clock = new ManualClock()): NodeCalls =>
    new NodeCalls({ state, limits, clock, random: systemRandom, logger });

  const pair = async (more: Partial<NodesLimits> = {}) => {
    const limits = { ...defaultNodesLimits, ...more };
    const clock = new ManualClock();
    const meeting = meet(limits);
    const states = [await start(meeting.join('a')), await start(meeting.join('b'))] as const;
    return { states, limits, clock, a: callsOf(states[0], limits, clock), b: callsOf(states[1], limits) };
  };

  /** What one side has heard. */
  const hearing = () => {
    const said = [] as string[];
    return {
      said,
      listener: {
        onSaid: (text: string) => said.push(text),
        onEnd: () => said.push('(end)'),
        onFailed: (failure: NodeFailure) => said.push(`(${failure})`),
      },
    };
  };

  it('goes both ways, in order, until one side ends it', async () => {
    const { a, b } = await pair();
    b.serve('echo', (opening, conversation) => {
      conversation.say(`opened with ${opening}`);
      return {
        onSaid: (text) => {
          conversation.say(`heard ${text}`);
          if (text === 'last') conversation.end();
        },
        onEnd: () => undefined,
        onFailed: () => undefined,
      };
    });
    const { said, listener } = hearing();
    const conversation = a.begin('b', 'echo', 'hello', listener);
    for (const text of ['first', 'last']) conversation.say(text);
    await until('the end', () => said.find((text) => text === '(end)'));
    expect(said).toEqual(['opened with hello', 'heard first', 'heard last', '(end)']);
  });

  it('fails at once with a node that is not there, and with one that does not do such things', async () => {
    const { a } = await pair();
    const [gone, unknown] = [hearing(), hearing()];
    a.begin('nobody', 'echo', '', gone.listener);
    a.begin('b', 'unheard of', '', unknown.listener);
    await until('both answers', () => (gone.said.length + unknown.said.length === 2 ? true : undefined));
    expect([gone.said, unknown.said]).toEqual([['(gone)'], ['(busy)']]);
  });

  it('has no effect when it is accepted by a node that was given up', async () => {
    const { a, clock, states, limits } = await pair();
    const letters: string[] = [];
    states[1].mail.onLetter((letter) => letters.push(letter));
    const { said, listener } = hearing();
    a.begin('b', 'order', 'too late', listener);
    await until('the letter', () => letters[0]);
    await clock.advance(limits.acceptMs + 1);
    expect(said).toEqual(['(gone)']);
    const served: string[] = [];
    callsOf(states[1], limits).serve('order', (opening) => {
      served.push(opening);
      return hearing().listener;
    });
    await states[0].mail.send('b', letters[0] ?? '');
    a.begin('b', 'order', 'in time', hearing().listener);
    await until('the second order', () => served.find((opening) => opening === 'in time'));
    expect(served).toEqual(['in time']);
  });

  it('fails when the other side goes, and when it is said too much', async () => {
    const { a, b, clock, limits, states } = await pair({ handedBytes: 1_000 });
    const atB = hearing();
    b.serve('long', (_, conversation) => {
      conversation.say('begun');
      return atB.listener;
    });
    const [left, chatty] = [hearing(), hearing()];
    a.begin('b', 'long', '', left.listener);
    const talk = a.begin('b', 'long', '', chatty.listener);
    await until('the beginning', () => (left.said.length + chatty.said.length === 2 ? true : undefined));
    talk.say('x'.repeat(1_001));
    await until('the refusal on both sides', () => atB.said.find((text) => text === '(too-large)'));
    expect([chatty.said, atB.said]).toEqual([['begun', '(too-large)'], ['(too-large)']]);
    await states[1].stop();
    await clock.advance(limits.leaseMs + 1);
    await until('its end', () => left.said.find((text) => text === '(gone)'));
  });
});

describe.skipIf(!redis)('Redis', () => {
  const { url = '', prefix = '' } = redis ?? {};
  let way: TcpProxy | undefined;

  afterEach(() => way?.stop());

  const wayTo = async (): Promise<{ way: TcpProxy; url: string }> => {
    const { port } = new URL(url);
    way = await startTcpProxy({ ports: [Number(port)] });
    return { way, url: `redis://127.0.0.1:${way.port}` };
  };

  it('holds nothing that opens without the keys of the fleet, and believes nothing that was put there without them', async () => {
    const [ours, theirs] = [`${prefix}sealed:`, randomSessionKeys(systemRandom)];
    const a = await start(redisNode(url, ours, 'a'));
    const stranger = await start(redisNode(url, ours, 'stranger', { keys: theirs }));
    const heard = [] as string[];
    a.mail.onLetter((letter) => heard.push(letter));
    a.endings.onEnding((name) => heard.push(name));
    await a.records.put(key, 'facts', 60_000);
    expect(await stranger.records.get(key)).toBeUndefined();
    await stranger.records.put(key, 'forged', 60_000);
    expect(await a.records.get(key)).toBeUndefined();
    expect(await stranger.mail.send('a', 'forged')).toBe(true);
    stranger.endings.announce('forged', systemClock.now() + 60_000);
    const friend = await start(redisNode(url, ours, 'friend'));
    friend.endings.announce('real', systemClock.now() + 60_000);
    await friend.mail.send('a', 'letter');
    await until('what is real', () => (heard.length >= 2 ? true : undefined));
    expect(heard.toSorted()).toEqual(['letter', 'real']);
  });

  it('is reached over TLS with a certificate of ours and a password, and not without', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'signalbox-redis-'));
    const authority = await testAuthority(folder);
    const { certFile, keyFile } = await authority.write('redis');
    const port = await freePort();
    const tls = ['--tls-port', String(port), '--tls-cert-file', certFile, '--tls-key-file', keyFile];
    const secure = await startTestRedis([
      ...[...tls, '--tls-ca-cert-file', authority.certFile, '--tls-auth-clients', 'no'],
      ...['--requirepass', 'sesame'],
    ]);
    const environment = {
      REDIS_URL: `rediss://127.0.0.1:${port}`,
      SIGNALBOX_REDIS_CA: authority.certFile,
      SIGNALBOX_REDIS_PASSWORD: 'sesame',
      SIGNALBOX_REDIS_RETRY_MAX: '50',
    };
    const log = new MemoryLogger();
    const kit = { clock: systemClock, random: systemRandom, logger: log, metrics: new Metrics(), sessionKeys };
    const open = (more: Record<string, string> = {}) =>
      openSharedState({ ...kit, settings: readProxySettings({ ...environment, ...more }) });
    try {
      const a = await start(await open());
      await a.records.put(key, 'over TLS', 60_000);
      expect(await a.records.get(key)).toBe('over TLS');
      const wrongs = [
        [{ SIGNALBOX_REDIS_PASSWORD: 'wrong' }, /WRONGPASS|NOAUTH/],
        [{ SIGNALBOX_REDIS_CA: '' }, /certificate/],
      ] as const;
      for (const [wrong, reason] of wrongs) {
        const refused = await open(wrong);
        refused.start();
        running.push(refused);
        await until('the reason in the log', () => log.lines.find((line) => reason.test(JSON.stringify(line))));
        await expect(refused.records.get(key)).rejects.toThrow(SharedStateError);
      }
      expect(JSON.stringify(log.lines)).not.toContain('sesame');
    } finally {
      await Promise.all(running.splice(0).map((state) => state.stop()));
      await secure?.stop();
      await rm(folder, { recursive: true });
    }
  });

  it('gives a node that holds its lease a moment to hear again', async () => {
    const { way, url: through } = await wayTo();
    const own = `${prefix}moment:`;
    const a = await start(redisNode(url, own, 'a'));
    const b = await start(redisNode(through, own, 'b'));
    const heard: string[] = [];
    b.mail.onLetter((letter) => heard.push(letter));
    way.close();
    const sent = a.mail.send('b', 'after all');
    way.open();
    expect(await sent).toBe(true);
    await until('the letter', () => heard.find((letter) => letter === 'after all'));
  });

  it('that cannot be reached fails what needs it at once; what was to be told is told when it is back', async () => {
    const { way, url: through } = await wayTo();
    const own = `${prefix}away:`;
    const a = await start(redisNode(through, own, 'a'));
    const b = await start(redisNode(url, own, 'b'));
    const heard = [] as string[];
    b.endings.onEnding((name) => heard.push(name));
    way.close();
    await expect(a.records.get(key)).rejects.toThrow(SharedStateError);
    await expect(a.mail.send('b', 'x')).rejects.toThrow(SharedStateError);
    a.endings.announce('meanwhile', systemClock.now() + 60_000);
    a.events.begin(stream, '').append('lost');
    way.open();
    await until('the news', () => heard.find((name) => name === 'meanwhile'));
    await a.records.put(key, 'again', 1_000);
    expect(await b.records.get(key)).toBe('again');
  });

  it('that says nothing fails what waits for it in time, and is connected to anew', async () => {
    const { way, url: through } = await wayTo();
    const a = await start(redisNode(through, `${prefix}silent:`, 'a'));
    way.stall();
    await expect(a.records.get(key)).rejects.toThrow(SharedStateError);
    way.open();
    await until('an answer', () => a.records.get(key).then(() => true));
  });
});
