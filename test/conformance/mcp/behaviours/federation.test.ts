import {
  federatedRoute,
  finalMessage,
  gateway,
  type MemberServer,
  type Message,
  RawMcpClient,
  type ResourceFile,
  startMemberServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key', bob: 'bob-key' };
const tools = (name: string): string[] => Array.from({ length: 5 }, (_, at) => `${name}-${at}`);

describe('a virtual server of several members', () => {
  let system: System;
  let one: MemberServer;
  let two: MemberServer;
  let three: MemberServer;
  const clients: RawMcpClient[] = [];

  beforeAll(async () => {
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 2,
      settings: {
        SIGNALBOX_PROXY_FAN_OUT_TIMEOUT: '1000',
        SIGNALBOX_PROXY_MEMBER_STREAM_RETRY: '50',
        SIGNALBOX_PROXY_MEMBER_BREAK: '100',
        SIGNALBOX_PROXY_CHANGE_SPACING: '100',
      },
    });
    await system.apply([gateway(), tenant()]);
  });

  afterAll(() => system.stop());

  beforeEach(async () => {
    one = await startMemberServer({
      tools: ['search', 'echo', 'link', 'ask', 'hold'],
      prompts: ['greeting'],
      resources: ['test://readme'],
      templates: ['test://items/{id}'],
      instructions: 'One is first.',
      capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} },
    });
    two = await startMemberServer({ tools: ['search', 'other'], resources: ['test://readme'], instructions: 'Two.' });
    three = await startMemberServer({ tools: ['search'] });
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all([one, two, three].map((member) => member.stop()));
  });

  const present = (spec: ResourceFile = {}, rules: readonly string[] = ['true']): Promise<unknown> => {
    const backends = { one: one.url, two: two.url, three: three.url };
    return system.apply(federatedRoute({ name: 'all', backends, keys, rules, spec }));
  };

  const connect = async (
    token = 'alice-key',
    node = 0,
    params: Record<string, unknown> = {},
  ): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'all', node), token });
    clients.push(client);
    expect((await client.initialize(params)).status).toBe(200);
    return client;
  };

  const result = async (client: RawMcpClient, method: string, params?: Record<string, unknown>): Promise<any> =>
    (await finalMessage(await client.rpc(method, params))).result;

  it('44. Tools of one name of several members are listed under distinct names, in a fixed order.', async () => {
    await present();
    const client = await connect();
    const expected = [
      'one__search',
      'one__echo',
      'one__link',
      'one__ask',
      'one__hold',
      'two__search',
      'two__other',
      'three__search',
    ];
    expect(await client.toolNames()).toEqual(expected);
    expect(await (await connect('bob-key', 1)).toolNames()).toEqual(expected);
    expect(await client.call('two__other')).toMatchObject({ result: { content: [{ text: 'other' }] } });
    expect(JSON.parse(two.requests.of('tools/call').at(-1)?.body ?? '{}')).toMatchObject({ params: { name: 'other' } });
    expect(await client.call('search')).toMatchObject({ error: { code: -32602, message: 'Unknown tool: search' } });
    expect(await client.call('four__search')).toMatchObject({ error: { code: -32602 } });
  });

  it('44. A name that several members without prefix have is the first one’s, or nobody’s, never anyone’s.', async () => {
    const members = [{ backend: 'one' }, { backend: 'two' }, { backend: 'three', prefix: 'three' }];
    await present({ members, conflicts: 'PRIORITY' });
    const client = await connect();
    const names = ['search', 'echo', 'link', 'ask', 'hold', 'other', 'three__search'];
    expect(await client.toolNames()).toEqual(names);
    expect(await client.call('search')).toMatchObject({ result: { content: [{ text: 'search' }] } });
    expect([one, two].map((member) => member.requests.of('tools/call').length)).toEqual([1, 0]);
    await present({ members, conflicts: 'REFUSE' });
    expect(await client.toolNames()).toEqual(names.slice(1));
    expect(await client.call('search')).toMatchObject({ error: { code: -32602, message: 'Unknown tool: search' } });
    expect(await client.call('other')).toMatchObject({ result: { content: [{ text: 'other' }] } });
  });

  it('44. A name that a member may have that does not answer is not given to another one.', async () => {
    await present({ members: [{ backend: 'one' }, { backend: 'two' }], conflicts: 'PRIORITY' });
    await one.stop();
    const client = await connect();
    expect(await client.call('search')).toMatchObject({ error: { code: -32603 } });
    expect(two.requests.of('tools/call')).toHaveLength(0);
  });

  it('45. Tools are selected, renamed and described anew; everything else of them stays as it is.', async () => {
    const odd = { odd: 1.0, 'x-é': [{ a: 1e3 }], annotations: { unknown: true }, inputSchema: { $defs: { z: {} } } };
    one.become({ tools: [{ ...odd, name: 'search', description: 'old' }, 'delete_all', 'echo'] });
    const search = {
      include: ['s*', 'delete_*'],
      exclude: ['*_all'],
      rename: { search: 'find' },
      descriptions: { search: 'new' },
    };
    await present({
      members: [
        { backend: 'one', prefix: 'one', tools: search },
        { backend: 'two', prefix: 'two' },
      ],
    });
    const client = await connect();
    const answer = await client.rpc('tools/list');
    expect(answer.text).toContain(JSON.stringify({ ...odd, name: 'one__find', description: 'new' }));
    expect(await client.toolNames()).toEqual(['one__find', 'two__search', 'two__other']);
    await client.call('one__find');
    expect(JSON.parse(one.requests.of('tools/call').at(-1)?.body ?? '{}')).toMatchObject({
      params: { name: 'search' },
    });
    for (const name of ['one__search', 'one__delete_all', 'one__echo']) {
      expect(await client.call(name)).toMatchObject({ error: { code: -32602 } });
    }
  });

  it('45. A name that is too long with its prefix is left out and cannot be called.', async () => {
    const long = 'n'.repeat(62);
    one.become({ tools: [long, 'n'.repeat(59)] });
    await present();
    const client = await connect();
    expect((await client.toolNames()).filter((name) => name.startsWith('one__'))).toEqual([`one__${'n'.repeat(59)}`]);
    expect(await client.call(`one__${long}`)).toMatchObject({ error: { code: -32602 } });
    expect(one.requests.of('tools/call')).toHaveLength(0);
  });

  it('46. A walk through the pages of all members gives their exact union, each entry once.', async () => {
    one.become({ tools: tools('a'), pageSize: 1 });
    two.become({ tools: tools('b'), pageSize: 2 });
    three.become({ tools: tools('c'), pageSize: 1 });
    await present();
    const client = await connect();
    const names: string[] = [];
    let cursor: unknown = '';
    let pages = 0;
    for (; cursor !== undefined; pages += 1) {
      const page = await result(client, 'tools/list', { cursor });
      names.push(...(page.tools as { name: string }[]).map(({ name }) => name));
      cursor = page.nextCursor;
    }
    const union = [...tools('one__a'), ...tools('two__b'), ...tools('three__c')];
    expect([pages, names.toSorted()]).toEqual([5, union.toSorted()]);
  });

  it('46. A cursor that is garbage, of another list, of another principal or of another configuration is -32602.', async () => {
    one.become({ tools: tools('a'), prompts: ['p', 'q'], pageSize: 1 });
    await present();
    const [client, bob] = [await connect(), await connect('bob-key')];
    const { nextCursor: cursor } = await result(client, 'tools/list');
    const invalid = { error: { code: -32602 } };
    const list = async (of: RawMcpClient, method: string, from: unknown): Promise<Message> =>
      finalMessage(await of.rpc(method, { cursor: from }));
    expect(await list(client, 'tools/list', 'garbage')).toMatchObject(invalid);
    expect(await list(client, 'tools/list', 7)).toMatchObject(invalid);
    expect(await list(client, 'prompts/list', cursor)).toMatchObject(invalid);
    expect(await list(bob, 'tools/list', cursor)).toMatchObject(invalid);
    expect(await list(client, 'tools/list', cursor)).toHaveProperty('result');
    await present({ maxNameLength: 60 });
    expect(await list(client, 'tools/list', cursor)).toMatchObject(invalid);
  });

  it('47. A list without a member that is down or slow comes within the deadline and says who is missing.', async () => {
    await present();
    const client = await connect();
    await two.stop();
    const page = await result(client, 'tools/list');
    expect(page.tools.map(({ name }: { name: string }) => name)).not.toContain('two__search');
    expect(page.tools).toHaveLength(6);
    expect(page._meta).toEqual({ 'dev.signalbox/missing': ['two'] });
    expect(await client.call('two__search')).toMatchObject({ error: { code: -32603 } });
    expect(await client.call('one__search')).toHaveProperty('result');
  });

  it('47. With partialLists FAIL there is no list that is not whole.', async () => {
    await present({ partialLists: 'FAIL' });
    const client = await connect();
    await two.stop();
    expect(await finalMessage(await client.rpc('tools/list'))).toMatchObject({
      error: { code: -32603, data: { members: [{ member: 'two' }] } },
    });
  });

  it('47. Clients hear that lists changed when a member is back that was missing from them.', async () => {
    await present();
    await two.stop();
    const client = await connect();
    const stream = (await client.get()).stream;
    expect(await client.toolNames()).toHaveLength(6);
    await two.start();
    await stream?.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed');
    expect(await client.toolNames()).toHaveLength(8);
    expect(await client.call('two__other')).toHaveProperty('result');
  });

  it('47. A member without a stream of its own is noticed to be back by what it answers.', async () => {
    await two.stop();
    two = await startMemberServer({ tools: ['search', 'other'], withoutStream: true });
    await present();
    const client = await connect();
    const stream = (await client.get()).stream;
    await two.requests.first('the GET', ({ method }) => method === 'GET');
    await two.stop();
    expect(await client.toolNames()).toHaveLength(6);
    await two.start();
    expect(await client.call('two__other')).toHaveProperty('result');
    expect(
      await stream?.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed'),
    ).toBeDefined();
  });

  it('48. What policy denies is absent from lists and answered as unknown, by presented and by own names.', async () => {
    const ui = { name: 'panel', inputSchema: {}, _meta: { ui: { resourceUri: 'ui://panel' } } };
    one.become({
      tools: ['search', ui],
      resources: ['test://secret', 'test://readme', 'ui://panel'],
      prompts: ['greeting'],
    });
    const rules = [
      'tool.name == "one__panel" || backend.name == "two" && tool.name == "two__other"',
      'resource.uri == "one+test://readme"',
    ];
    const guard = { target: { backend: 'one' }, authorization: [{ effect: 'ALLOW', when: 'tool.name == "search"' }] };
    await present({}, rules);
    await system.apply([
      { apiVersion: 'signalbox.dev/v1', kind: 'Policy', metadata: { tenant: 'acme', name: 'guard' }, spec: guard },
    ]);
    const client = await connect();
    expect(await client.toolNames()).toEqual(['one__search', 'one__panel', 'two__other']);
    const page = await result(client, 'tools/list');
    expect(page.tools[1]).toEqual({ name: 'one__panel', inputSchema: {}, _meta: {} });
    expect(await client.call('two__search')).toMatchObject({ error: { message: 'Unknown tool: two__search' } });
    expect((await result(client, 'resources/list')).resources).toEqual([
      { uri: 'one+test://readme', name: 'test://readme' },
    ]);
    expect((await result(client, 'prompts/list')).prompts).toEqual([]);
    const read = await finalMessage(await client.rpc('resources/read', { uri: 'one+test://secret' }));
    expect(read).toMatchObject({ error: { code: -32002, data: { uri: 'one+test://secret' } } });
    const completion = { ref: { type: 'ref/prompt', name: 'one__greeting' }, argument: { name: 'a', value: '' } };
    expect(await finalMessage(await client.rpc('completion/complete', completion))).toMatchObject({
      error: { code: -32602 },
    });
    await system.remove('acme', [['Policy', 'guard']]);
  });

  it('48. Limits of a policy on a backend count the calls that go there, and no others.', async () => {
    await present();
    const limits = { callsPerMinute: 1, burst: 1 };
    const limited = { target: { backend: 'one' }, limits };
    const metadata = { tenant: 'acme', name: 'limited' };
    await system.apply([{ apiVersion: 'signalbox.dev/v1', kind: 'Policy', metadata, spec: limited }]);
    const client = await connect();
    expect(await client.call('one__search')).toHaveProperty('result');
    expect(await client.call('one__search')).toMatchObject({ result: { isError: true } });
    for (let at = 0; at < 3; at += 1) expect(await client.call('two__search')).toHaveProperty('result');
    await system.remove('acme', [['Policy', 'limited']]);
  });

  it('50. The user interface of an App is found under the URI that its tool names.', async () => {
    const csp = { connectDomains: ['https://a.example'] };
    const meta = { ui: { resourceUri: 'ui://panel', csp }, other: 1 };
    one.become({ tools: [{ name: 'panel', inputSchema: {}, _meta: meta }], resources: ['ui://panel'] });
    await present();
    const client = await connect();
    const { tools: listed } = await result(client, 'tools/list');
    expect(listed[0]._meta).toEqual({ ui: { resourceUri: 'ui://one/panel', csp }, other: 1 });
    const read = await result(client, 'resources/read', { uri: 'ui://one/panel' });
    expect(read).toEqual({ contents: [{ uri: 'ui://one/panel', text: 'contents of ui://panel' }] });
  });

  it('50. URIs of resources are wrapped wherever a result, large or small, refers to one, and nowhere else.', async () => {
    await present();
    const client = await connect();
    for (const text of ['see test://readme', `{"uri":"${'test://readme'.repeat(10_000)}"}`]) {
      expect((await client.call('one__link', { text })).result).toEqual({
        content: [
          { type: 'text', text },
          { type: 'resource_link', uri: 'one+test://unlisted', name: 'unlisted' },
          { type: 'resource', resource: { uri: 'one+test://readme', text: '{"uri":"test://readme"}' } },
        ],
      });
    }
    const { resourceTemplates } = await result(client, 'resources/templates/list');
    expect(resourceTemplates).toEqual([{ uriTemplate: 'one+test://items/{id}', name: 'test://items/{id}' }]);
    const read = await result(client, 'resources/read', { uri: 'one+test://items/7' });
    expect(read.contents).toEqual([{ uri: 'one+test://items/7', text: 'contents of test://items/7' }]);
    const lost = await finalMessage(await client.rpc('resources/read', { uri: 'two+test://nothing' }));
    expect(lost).toMatchObject({ error: { code: -32002, data: { uri: 'two+test://nothing' } } });
  });

  it('52. Completion goes to the member of the prompt or template, with its context.', async () => {
    await present();
    const client = await connect();
    const complete = async (ref: object): Promise<unknown> => {
      const params = { ref, argument: { name: 'a', value: 'x' }, context: { arguments: { b: 'c' } } };
      return JSON.parse((await result(client, 'completion/complete', params)).completion.values[0]);
    };
    const argument = { argument: { name: 'a', value: 'x' }, context: { arguments: { b: 'c' } } };
    const prompt = { type: 'ref/prompt', name: 'one__greeting' };
    expect(await complete(prompt)).toEqual({ ref: { ...prompt, name: 'greeting' }, ...argument });
    const template = { type: 'ref/resource', uri: 'one+test://items/{id}' };
    expect(await complete(template)).toEqual({ ref: { ...template, uri: 'test://items/{id}' }, ...argument });
  });

  it('2. DELETE ends the session here and at every member.', async () => {
    await present();
    const client = await connect();
    await client.toolNames();
    expect([one, two, three].map((member) => member.sessions().length)).toEqual([1, 1, 1]);
    expect((await client.delete()).status).toBe(204);
    expect([one, two, three].map((member) => member.sessions().length)).toEqual([0, 0, 0]);
    expect((await client.rpc('tools/list')).status).toBe(404);
  });

  it('40. Pings of clients are answered with all members down; pings of a member get a pong to it alone.', async () => {
    await present();
    const client = await connect();
    const stream = (await client.get()).stream;
    await untilTrue('the streams of all members', () => [one, two, three].every((member) => member.streams() === 1));
    one.push({ jsonrpc: '2.0', id: 'p-1', method: 'ping' });
    expect(await one.answers.first('a pong', ({ id }) => id === 'p-1')).toEqual({
      jsonrpc: '2.0',
      id: 'p-1',
      result: {},
    });
    expect([two.answers.items, three.answers.items, stream?.messages.items]).toEqual([[], [], []]);
    await Promise.all([one, two, three].map((member) => member.stop()));
    expect(await result(client, 'ping')).toEqual({});
  });

  it('41. Changes that several members tell of at once are one event for those who listen, and a fresh list.', async () => {
    await present();
    const [client, other] = [await connect(), await connect('bob-key')];
    const stream = (await client.get()).stream;
    await untilTrue('the streams of all members', () => [one, two, three].every((member) => member.streams() === 1));
    for (const [at, member] of [one, two, three].entries()) {
      member.become({ tools: [`new-${at}`] });
      member.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    }
    one.push({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'after' } });
    const changed = 'notifications/tools/list_changed';
    await stream?.messages.first('a change', ({ method }) => method === changed);
    expect(await client.toolNames()).toEqual(['one__new-0', 'two__new-1', 'three__new-2']);
    expect(stream?.messages.items.filter(({ method }) => method === changed)).toHaveLength(1);
    expect(stream?.messages.items.find(({ method }) => method === 'notifications/message')).toMatchObject({
      params: { level: 'info', data: 'after', logger: 'one' },
    });
    expect(other.session).not.toBe(client.session);
  });

  it('42. Updates of a resource reach its subscribers under its wrapped URI.', async () => {
    await present({}, ['resource.uri != "one+test://secret"']);
    const client = await connect();
    const stream = (await client.get()).stream;
    await untilTrue('the streams of all members', () => [one, two, three].every((member) => member.streams() === 1));
    await result(client, 'resources/subscribe', { uri: 'one+test://readme' });
    expect(JSON.parse(one.requests.of('resources/subscribe')[0]?.body ?? '')).toMatchObject({
      params: { uri: 'test://readme' },
    });
    const updated = (uri: string): object => ({
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { uri },
    });
    one.push(updated('test://secret'));
    one.push(updated('test://readme'));
    await stream?.messages.first('an update', ({ method }) => method === 'notifications/resources/updated');
    expect(stream?.messages.items).toEqual([updated('one+test://readme')]);
    await result(client, 'resources/unsubscribe', { uri: 'one+test://readme' });
    expect(one.requests.of('resources/unsubscribe')).toHaveLength(1);
  });

  it('43. What a member asks a client goes on the stream of the call; the answer finds the member through any node.', async () => {
    await present();
    const capabilities = { elicitation: {} };
    const [client, bob] = [
      await connect('alice-key', 0, { capabilities }),
      await connect('bob-key', 0, { capabilities }),
    ];
    expect(JSON.parse(one.requests.of('initialize')[0]?.body ?? '')).toMatchObject({ params: { capabilities } });
    const [first, second] = [
      await client.rpc('tools/call', { name: 'one__ask' }),
      await bob.rpc('tools/call', { name: 'one__ask' }),
    ];
    const asks = async (answer: typeof first): Promise<Message> =>
      answer.stream!.messages.first('a question', ({ method }) => method === 'elicitation/create');
    const [question, others] = [await asks(first), await asks(second)];
    expect(question.params).toMatchObject({ message: 'one: Who are you?' });
    const forged = await client.post({ jsonrpc: '2.0', id: others.id, result: { action: 'cancel' } });
    expect(forged.status).toBe(400);
    const elsewhere = new RawMcpClient({ url: system.endpoint('acme', 'all', 1), token: 'alice-key' });
    clients.push(elsewhere);
    Object.assign(elsewhere, { session: client.session, version: client.version });
    const said = { action: 'accept', content: { name: 'Ada' } };
    expect((await elsewhere.post({ jsonrpc: '2.0', id: question.id, result: said })).status).toBe(202);
    expect(await finalMessage(first)).toMatchObject({ result: { content: [{ text: JSON.stringify(said) }] } });
    expect(second.stream?.isOver()).toBe(false);
    await bob.post({ jsonrpc: '2.0', id: others.id, result: { action: 'decline' } });
    expect(await finalMessage(second)).toMatchObject({ result: { content: [{ text: '{"action":"decline"}' }] } });
  });

  it('34. Requests of one id at a time each get their own result, under the id as it was given.', async () => {
    await present();
    const client = await connect();
    const call = (id: unknown, name: string): Promise<any> =>
      client.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });
    const answers = await Promise.all([call(1, 'one__search'), call(1, 'two__other'), call('1', 'three__search')]);
    expect(answers.map(({ message }) => [message.id, message.result.content[0].text])).toEqual([
      [1, 'search'],
      [1, 'other'],
      ['1', 'search'],
    ]);
  });

  it('37. A cancellation reaches the member that has the request, under its id there, and no other.', async () => {
    await present();
    const client = await connect();
    const call = client.post({ jsonrpc: '2.0', id: 77, method: 'tools/call', params: { name: 'one__hold' } });
    await one.held.atLeast(1);
    expect((await client.notify('notifications/cancelled', { requestId: 99 })).status).toBe(202);
    expect((await client.notify('notifications/cancelled', { requestId: 77 })).status).toBe(202);
    const cancelled = await one.requests.first(
      'a cancellation',
      ({ rpcMethod }) => rpcMethod === 'notifications/cancelled',
    );
    const sent = JSON.parse(one.requests.of('tools/call')[0]?.body ?? '{}') as { id: unknown };
    expect(JSON.parse(cancelled.body)).toMatchObject({ params: { requestId: sent.id } });
    expect(two.requests.of('notifications/cancelled')).toHaveLength(0);
    one.held.items[0]?.finish();
    await call;
  });

  it('54. A member that has lost its session gets another one, hears what was set, and the call goes on.', async () => {
    await present();
    const client = await connect();
    await result(client, 'logging/setLevel', { level: 'warning' });
    await result(client, 'resources/subscribe', { uri: 'one+test://readme' });
    const others = two.sessions();
    one.forgetSessions();
    const calls = await Promise.all(['search', 'echo', 'link'].map((name) => client.call(`one__${name}`)));
    for (const call of calls) expect(call).toHaveProperty('result');
    expect(one.requests.of('initialize')).toHaveLength(2);
    expect(one.requests.of('notifications/initialized')).toHaveLength(2);
    expect(one.requests.of('logging/setLevel').map(({ body }) => JSON.parse(body).params)).toEqual([
      { level: 'warning' },
      { level: 'warning' },
    ]);
    expect(one.requests.of('resources/subscribe')).toHaveLength(2);
    expect([two.sessions(), two.requests.of('initialize').length]).toEqual([others, 1]);
    expect(await client.toolNames()).toHaveLength(8);
  });

  it('54. A member that says 400 to a session that it lost is begun again as well; one that stays lost is an error.', async () => {
    await one.stop();
    one = await startMemberServer({ tools: ['search'], lostStatus: 400 });
    await present();
    const client = await connect();
    one.forgetSessions();
    expect(await client.call('one__search')).toHaveProperty('result');
    await one.stop();
    expect(await client.call('one__search')).toMatchObject({ error: { code: -32603 } });
    expect(await client.call('two__search')).toHaveProperty('result');
    await one.start();
    expect(await client.call('one__search')).toHaveProperty('result');
  });

  it('53. Members that come and go with the configuration leave the session and its stream open.', async () => {
    await present({
      members: [
        { backend: 'one', prefix: 'one' },
        { backend: 'two', prefix: 'two' },
      ],
    });
    const client = await connect();
    const stream = (await client.get()).stream;
    await untilTrue('the streams of the members', () => [one, two].every((member) => member.streams() === 1));
    const held = client.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__hold' } });
    await one.held.atLeast(1);
    await present({
      members: [
        { backend: 'one', prefix: 'one' },
        { backend: 'three', prefix: 'three' },
      ],
    });
    await stream?.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed');
    await untilTrue('the streams of the new members', () => three.streams() === 1 && two.streams() === 0);
    expect((await client.toolNames()).filter((name) => !name.startsWith('one__'))).toEqual(['three__search']);
    one.held.items[0]?.finish();
    expect((await held).message).toMatchObject({ id: 1, result: { content: [{ text: 'hold' }] } });
    expect(stream?.isOver()).toBe(false);
  });

  it('11. A client that comes back to the shared stream misses nothing of any member, through any node.', async () => {
    await present();
    const client = await connect();
    const stream = (await client.get()).stream;
    await untilTrue('the streams of all members', () => [one, two, three].every((member) => member.streams() === 1));
    const log = (data: string): object => ({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'info', data },
    });
    one.push(log('a'), 'one-1');
    two.push(log('b'), 'two-1');
    const last = await stream!.events.first('the second event', ({ data }) => data.includes('"b"'));
    stream?.close();
    const elsewhere = new RawMcpClient({ url: system.endpoint('acme', 'all', 1), token: 'alice-key' });
    clients.push(elsewhere);
    Object.assign(elsewhere, { session: client.session, version: client.version });
    await elsewhere.get({ 'last-event-id': last.id ?? '' });
    const resumed = (of: MemberServer): Promise<unknown> =>
      of.requests
        .first('a resumed stream', ({ headers }) => headers['last-event-id'] !== undefined)
        .then(({ headers }) => headers['last-event-id']);
    expect(await Promise.all([resumed(one), resumed(two)])).toEqual(['one-1', 'two-1']);
    expect((await client.get({ 'last-event-id': 'made up' })).status).toBe(400);
  });

  it('8. Every member is begun with what the client is and can do; the answer is what all of them can do.', async () => {
    await present({
      members: [
        { backend: 'one', prefix: 'one' },
        { backend: 'two', prefix: 'two' },
      ],
      instructions: { text: 'All together.', maxBytes: 256 },
    });
    const client = new RawMcpClient({ url: system.endpoint('acme', 'all'), token: 'alice-key' });
    clients.push(client);
    const capabilities = { sampling: {}, tasks: { list: {} }, roots: { listChanged: true } };
    const answer = await client.initialize({ capabilities, protocolVersion: '1999-01-01' });
    expect(answer.message?.result).toEqual({
      protocolVersion: '2025-11-25',
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        logging: {},
        completions: {},
      },
      serverInfo: { name: 'all', version: '0.1.0' },
      instructions: 'All together.\n\n# one\n\nOne is first.\n\n# two\n\nTwo.',
    });
    const { params } = JSON.parse(two.requests.of('initialize')[0]?.body ?? '{}') as Message;
    expect(params).toEqual({
      protocolVersion: '2025-11-25',
      capabilities: { sampling: {}, roots: { listChanged: true } },
      clientInfo: { name: 'raw-client', version: '1.0.0' },
    });
    await client.notify('notifications/roots/list_changed');
    await one.requests.first('a change of roots', ({ rpcMethod }) => rpcMethod === 'notifications/roots/list_changed');
  });

  it('47. With no member that answers there is no session, and the answer says why.', async () => {
    await present();
    await Promise.all([one, two, three].map((member) => member.stop()));
    const client = new RawMcpClient({ url: system.endpoint('acme', 'all'), token: 'alice-key' });
    clients.push(client);
    const answer = await client.initialize();
    expect(answer.message).toMatchObject({ error: { code: -32603, data: { members: [{ member: 'one' }, {}, {}] } } });
    expect(answer.headers['mcp-session-id']).toBeUndefined();
  });
});

/** Waits until a condition holds. */
function untilTrue(what: string, holds: () => boolean | Promise<boolean>): Promise<true> {
  return until(what, async () => ((await holds()) ? true : undefined));
}
