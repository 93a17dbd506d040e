import {
  federatedRoute,
  finalMessage,
  gateway,
  type MemberServer,
  type Message,
  modernVersion,
  RawMcpClient,
  type ResourceFile,
  startMemberServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

const subscriptionId = 'io.modelcontextprotocol/subscriptionId';

describe('a virtual server of several members of the modern era', () => {
  let system: System;
  let one: MemberServer;
  let two: MemberServer;
  let client: RawMcpClient;

  beforeAll(async () => {
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      settings: {
        SIGNALBOX_PROXY_FAN_OUT_TIMEOUT: '1000',
        SIGNALBOX_PROXY_MEMBER_STREAM_RETRY: '50',
        SIGNALBOX_PROXY_MEMBER_BREAK: '100',
      },
    });
    await system.apply([gateway(), tenant()]);
  });

  afterAll(() => system.stop());

  beforeEach(async () => {
    one = await startMemberServer({
      era: 'modern',
      ...{
        tools: ['search', 'echo', 'link', 'hold'],
        prompts: ['grüße'],
        resources: ['test://readme'],
        instructions: 'One.',
      },
    });
    two = await startMemberServer({ era: 'modern', tools: ['search'], resources: ['test://readme'] });
    client = new RawMcpClient({ url: system.endpoint('acme', 'all'), token: 'alice-key' });
  });

  afterEach(async () => {
    client.close();
    await Promise.all([one, two].map((member) => member.stop()));
  });

  const present = (spec: ResourceFile = {}, backends: Record<string, string> = {}): Promise<unknown> => {
    const urls = { one: one.url, two: two.url, ...backends };
    return system.apply(
      federatedRoute({ name: 'all', backends: urls, keys: { alice: 'alice-key' }, rules: ['true'], spec }),
    );
  };

  const ask = async (method: string, params: Record<string, unknown> = {}, headers = {}): Promise<Message> =>
    finalMessage(await client.modern(method, params, headers));

  it('8. Discovery says what all members can do together, and is for its caller alone.', async () => {
    await present();
    expect((await ask('server/discover')).result).toEqual({
      resultType: 'complete',
      supportedVersions: [modernVersion],
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
      },
      instructions: '# one\n\nOne.',
      ttlMs: 60_000,
      cacheScope: 'private',
      _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'all', version: '0.1.0' } },
    });
  });

  it('44. Names lead to their members, which get their own names in body and headers.', async () => {
    await present();
    expect(await client.toolNamesModern()).toEqual([
      'one__search',
      'one__echo',
      'one__link',
      'one__hold',
      'two__search',
    ]);
    expect(await client.callModern('two__search')).toMatchObject({ result: { content: [{ text: 'search' }] } });
    const sent = two.requests.of('tools/call')[0];
    expect(sent?.headers).toMatchObject({
      'mcp-name': 'search',
      'mcp-method': 'tools/call',
      'mcp-protocol-version': modernVersion,
    });
    expect(JSON.parse(sent?.body ?? '{}')).toMatchObject({ params: { name: 'search', _meta: {} } });
    expect(await client.callModern('search')).toMatchObject({ error: { code: -32602 } });
  });

  it('19. A renamed tool or prompt goes on under its own name, not in ASCII too, with its parameter headers.', async () => {
    await present({
      members: [
        { backend: 'one', prefix: 'one', tools: { rename: { echo: 'say' } } },
        { backend: 'two', prefix: 'two' },
      ],
    });
    const params = { 'mcp-param-region': 'eu', 'mcp-param-user': '=?base64?w6k=?=' };
    expect(await ask('tools/call', { name: 'one__say', arguments: { text: 'hi' } }, params)).toMatchObject({
      result: { content: [{ text: 'hi' }] },
    });
    expect(one.requests.of('tools/call')[0]?.headers).toMatchObject({ 'mcp-name': 'echo', ...params });
    const name = 'one__grüße';
    const encoded = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`;
    expect(await ask('prompts/get', { name }, { 'mcp-name': encoded(name) })).toHaveProperty('result');
    expect(one.requests.of('prompts/get')[0]?.headers['mcp-name']).toBe(encoded('grüße'));
  });

  it('19. A tool whose header annotations are wrong is hidden, behind one server and behind several.', async () => {
    const good = {
      name: 'good',
      inputSchema: { type: 'object', properties: { a: { type: 'string', 'x-mcp-header': 'A' } } },
    };
    const bad = {
      name: 'bad',
      inputSchema: { type: 'object', properties: { a: { type: 'number', 'x-mcp-header': 'A' } } },
    };
    one.become({ tools: [good, bad, 'plain'] });
    await present();
    expect(await client.toolNamesModern()).toEqual(['one__good', 'one__plain', 'two__search']);
    await present({ members: [{ backend: 'one' }] });
    expect(await client.toolNamesModern()).toEqual(['good', 'plain']);
  });

  it('49. Lists are private with the shortest time to live, whatever members say of theirs.', async () => {
    await present();
    for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list']) {
      expect((await ask(method)).result).toMatchObject({
        resultType: 'complete',
        ttlMs: 60_000,
        cacheScope: 'private',
      });
    }
  });

  it('50. URIs of resources are wrapped in lists, links and contents.', async () => {
    await present();
    expect((await ask('resources/list')).result?.['resources']).toEqual([
      { uri: 'one+test://readme', name: 'test://readme' },
      { uri: 'two+test://readme', name: 'test://readme' },
    ]);
    const read = await ask('resources/read', { uri: 'two+test://readme' });
    expect(read.result).toMatchObject({ contents: [{ uri: 'two+test://readme', text: 'contents of test://readme' }] });
    expect(two.requests.of('resources/read')[0]?.headers['mcp-name']).toBe('test://readme');
    expect((await client.callModern('one__link')).result?.['content']).toContainEqual({
      ...{ type: 'resource_link', uri: 'one+test://unlisted', name: 'unlisted' },
    });
  });

  it('24. A client that leaves cancels at the member.', async () => {
    await present();
    const call = client.modern('tools/call', { name: 'one__hold', arguments: {} });
    await one.held.atLeast(1);
    client.close();
    await expect(call).rejects.toThrow(/socket|hang|abort|closed/i);
    one.held.items[0]?.finish();
    await untilTrue('the call to end', async () =>
      (await system.node(0).events()).some(({ tool, error }) => tool === 'one__hold' && error === 'client_cancelled'),
    );
  });

  it('41. One subscription hears of all members, changes gathered, under its own id.', async () => {
    await present();
    const filter = { toolsListChanged: true, resourceSubscriptions: ['one+test://readme', 'two+test://readme'] };
    const { stream } = await client.modern('subscriptions/listen', { notifications: filter });
    const acknowledged = await stream!.messages.first('the acknowledgement', ({ method }) => method !== undefined);
    const id = (acknowledged.params?.['_meta'] as Record<string, unknown> | undefined)?.[subscriptionId];
    expect(acknowledged.params?.['notifications']).toEqual(filter);
    await untilTrue('the subscriptions of all members', () => one.streams() === 1 && two.streams() === 1);
    const filters = [one, two].map(
      ({ requests }) => JSON.parse(requests.of('subscriptions/listen')[0]?.body ?? '').params,
    );
    expect(filters[0].notifications).toEqual({ toolsListChanged: true, resourceSubscriptions: ['test://readme'] });
    for (const member of [one, two]) {
      member.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      member.push({ jsonrpc: '2.0', method: 'notifications/prompts/list_changed' });
    }
    two.push({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://readme' } });
    await stream!.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed');
    expect(stream!.messages.items.slice(1)).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'two+test://readme', _meta: { [subscriptionId]: id } },
      },
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: { [subscriptionId]: id } } },
    ]);
    stream!.close();
    await untilTrue('the subscriptions to end', () => one.streams() === 0 && two.streams() === 0);
  });

  it('47. A subscription outlives a member, and tells of changes when it is back.', async () => {
    await present();
    const { stream } = await client.modern('subscriptions/listen', { notifications: { toolsListChanged: true } });
    await untilTrue('the subscriptions of all members', () => one.streams() === 1 && two.streams() === 1);
    await two.stop();
    expect((await ask('tools/list')).result).toMatchObject({ _meta: { 'dev.signalbox/missing': ['two'] } });
    await two.start();
    await stream!.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed');
    expect(await client.toolNamesModern()).toHaveLength(5);
    expect(stream!.isOver()).toBe(false);
    stream!.close();
  });

  it('31. Members of the other era are presented to a client of this one, beside members of its own and alone.', async () => {
    const legacy = await startMemberServer({ tools: ['old'] });
    await present({}, { two: legacy.url });
    expect(await client.toolNamesModern()).toEqual(['one__search', 'one__echo', 'one__link', 'one__hold', 'two__old']);
    expect(await client.callModern('two__old')).toMatchObject({ result: { resultType: 'complete' } });
    await present({}, { one: legacy.url, two: legacy.url });
    const answer = await client.modern('server/discover');
    expect([answer.status, answer.message]).toMatchObject([200, { result: { resultType: 'complete' } }]);
    expect(await client.toolNamesModern()).toEqual(['one__old', 'two__old']);
    await legacy.stop();
  });

  it('26. A client of the legacy era has a session with members of this one.', async () => {
    const legacy = await startMemberServer({ tools: ['old'] });
    await present({}, { two: legacy.url });
    expect((await client.initialize()).status).toBe(200);
    expect(await client.toolNames()).toEqual(['one__search', 'one__echo', 'one__link', 'one__hold', 'two__old']);
    expect(await client.call('one__search')).toMatchObject({ result: { content: [{ type: 'text' }] } });
    expect(await client.call('two__old')).toMatchObject({ result: { content: [{ type: 'text' }] } });
    await legacy.stop();
  });

  it('46. A walk through pages needs no session.', async () => {
    one.become({ tools: ['a', 'b', 'c'], pageSize: 1 });
    await present();
    const names: string[] = [];
    let cursor: unknown;
    do {
      const page: any = (await ask('tools/list', cursor === undefined ? {} : { cursor })).result;
      names.push(...(page.tools as { name: string }[]).map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(names).toEqual(['one__a', 'two__search', 'one__b', 'one__c']);
  });

  describe('whose tools are found by search', () => {
    const forecast = {
      ...{ name: 'get_forecast', title: 'Forecast', description: 'The weather of the next days' },
      inputSchema: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } },
    };
    const metaNames = ['find_tools', 'describe_tool', 'call_tool'];
    const search = async (rules: readonly string[] = ['true'], toolSearch: ResourceFile = {}): Promise<void> => {
      one.become({ tools: ['search', forecast, 'echo', { name: 'rain', description: 'Rain of the next days' }] });
      const keys = { alice: 'alice-key' };
      const backends = { one: one.url, two: two.url };
      await system.apply(federatedRoute({ name: 'all', backends, keys, rules, spec: { toolSearch } }));
    };
    const textOf = ({ result }: any): string => result.content[0].text;
    const found = async (args: Record<string, unknown> = {}): Promise<any> =>
      JSON.parse(textOf(await client.callModern('find_tools', args)));

    it('lists the tools of search and those that are pinned, in both eras.', async () => {
      await search(['true'], { pinned: ['*__echo'] });
      expect(await client.toolNamesModern()).toEqual([...metaNames, 'one__echo']);
      await client.initialize();
      expect(await client.toolNames()).toEqual([...metaNames, 'one__echo']);
      const { tools } = JSON.parse(textOf(await client.call('find_tools', { query: 'weather' })));
      expect(tools).toEqual([{ name: 'one__get_forecast', title: 'Forecast', description: forecast.description }]);
    });

    it('finds by words, best first, and tells how many there are.', async () => {
      await search(['true'], { maxResults: 2 });
      const { tools, ...counts } = await found({ query: 'rain in the next days' });
      expect(tools.map(({ name }: any) => name)).toEqual(['one__rain', 'one__get_forecast']);
      expect(counts).toEqual({ matches: 2, total: 5 });
      expect((await found({})).tools.map(({ name }: any) => name)).toEqual(['one__search', 'one__get_forecast']);
      expect((await found({ query: 'city', limit: 1 })).tools).toMatchObject([{ name: 'one__get_forecast' }]);
      expect(await found({ query: 'banana' })).toEqual({ tools: [], matches: 0, total: 5 });
    });

    it('describes a tool as a list would show it.', async () => {
      await search();
      const described = textOf(await client.callModern('describe_tool', { name: 'one__get_forecast' }));
      expect(described).toBe(JSON.stringify({ ...forecast, name: 'one__get_forecast' }));
    });

    it('48. Neither finds, nor describes, nor calls what the caller may not see.', async () => {
      await search(['tool.name == "one__rain"', 'tool.name == "one__echo" && args.text == "hi"']);
      const { tools, total } = await found();
      expect([tools.map(({ name }: any) => name), total]).toEqual([['one__echo', 'one__rain'], 2]);
      expect((await found({ query: 'forecast' })).tools).toEqual([]);
      for (const name of ['one__get_forecast', 'one__nothing', 'call_tool', 'find_tools ']) {
        expect(await client.callModern('describe_tool', { name })).toMatchObject({
          result: { isError: true, content: [{ text: `Unknown tool: ${name}` }] },
        });
        expect(await client.callModern('call_tool', { name, arguments: {} })).toMatchObject({
          error: { code: -32602, message: `Unknown tool: ${name}` },
        });
      }
      const said = await client.callModern('call_tool', { name: 'one__echo', arguments: { text: 'no' } });
      expect(said).toMatchObject({ error: { message: 'Unknown tool: one__echo' } });
      expect(one.requests.of('tools/call')).toHaveLength(0);
    });

    it('48. Calls what it has found: the same bytes under the real name, which the event names, too.', async () => {
      await search(['tool.name == "one__echo" && args.text == "hi"']);
      const body =
        '{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"arguments":{"arguments":{"text":"hi","n":1.10e1},"name":"one__echo"},' +
        `"name":"call_tool","_meta":{"io.modelcontextprotocol/protocolVersion":"${modernVersion}","io.modelcontextprotocol/clientCapabilities":{},"x":1}}}`;
      const headers = { 'mcp-protocol-version': modernVersion, 'mcp-method': 'tools/call', 'mcp-name': 'call_tool' };
      const answer = await finalMessage(await client.post(body, headers));
      expect(answer).toMatchObject({ id: 'q', result: { content: [{ text: 'hi' }] } });
      const [sent] = one.requests.of('tools/call');
      expect(sent?.headers['mcp-name']).toBe('echo');
      expect(sent?.body).toContain('"params":{"arguments":{"text":"hi","n":1.10e1},"name":"echo","_meta":{');
      expect(sent?.body).toContain('"x":1}');
      await untilTrue('the event of the real tool', async () =>
        (await system.node(0).events()).some(
          ({ tool, decision, rule, backend }) =>
            tool === 'one__echo' && decision === 'allow' && rule !== '' && backend === 'one',
        ),
      );
      const direct = await client.callModern('one__echo', { text: 'hi' });
      expect(direct).toMatchObject({ result: { content: [{ text: 'hi' }] } });
    });

    it('19. Sends the parameter headers of a tool that its client was not shown.', async () => {
      const region = { type: 'string', 'x-mcp-header': 'Region' };
      const place = { type: 'object', properties: { floor: { type: 'integer', 'x-mcp-header': 'Floor' } } };
      const absent = { type: 'boolean', 'x-mcp-header': 'Absent' };
      await search();
      one.become({
        tools: [{ name: 'enter', inputSchema: { type: 'object', properties: { region, place, absent } } }],
      });
      const args = { region: 'Zürich', place: { floor: 3 }, absent: null };
      expect(await client.callModern('call_tool', { name: 'one__enter', arguments: args })).toHaveProperty('result');
      const headers = one.requests.of('tools/call')[0]?.headers ?? {};
      expect(Object.entries(headers).filter(([name]) => name.startsWith('mcp-param-'))).toEqual([
        ['mcp-param-region', `=?base64?${Buffer.from('Zürich').toString('base64')}?=`],
        ['mcp-param-floor', '3'],
      ]);
    });

    it('tells the model what is wrong with a call that names nothing.', async () => {
      await search();
      for (const args of [{}, { name: 1 }, { name: 'one__echo', arguments: [] }]) {
        expect(await client.callModern('call_tool', args)).toMatchObject({ result: { isError: true } });
      }
      expect(await client.callModern('find_tools', { query: 1 })).toMatchObject({ result: { isError: true } });
      expect(await client.callModern('describe_tool')).toMatchObject({ result: { isError: true } });
      expect(textOf(await client.callModern('call_tool', { name: 'find_tools' }))).toContain('"total":5');
    });

    it('presents what it remembers of a member as the configuration says now.', async () => {
      await search();
      expect((await found({ query: 'rain' })).tools).toMatchObject([{ name: 'one__rain' }]);
      const asked = one.requests.of('tools/list').length;
      const tools = { rename: { rain: 'downpour' }, exclude: ['echo'] };
      await system.apply(
        federatedRoute({
          ...{ name: 'all', keys: { alice: 'alice-key' }, rules: ['true'], backends: { one: one.url, two: two.url } },
          spec: { members: [{ backend: 'one', prefix: 'first', tools }], toolSearch: {} },
        }),
      );
      expect(await found()).toMatchObject({ total: 3 });
      expect((await found({ query: 'downpour' })).tools).toMatchObject([{ name: 'first__downpour' }]);
      const described = textOf(await client.callModern('describe_tool', { name: 'first__downpour' }));
      expect(described).toContain('"name":"first__downpour"');
      expect(one.requests.of('tools/list')).toHaveLength(asked);
    });

    it('hears of new tools when the member says that its list changed.', async () => {
      await search();
      await found();
      const notifications = { toolsListChanged: true };
      const listening = await client.modern('subscriptions/listen', { notifications });
      await untilTrue('the member to be listened to', () => one.streams() > 0);
      one.become({ tools: ['fresh'] });
      one.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      await untilTrue('the fresh tool', async () => (await found({ query: 'fresh' })).tools.length === 1);
      expect(await found()).toMatchObject({ total: 2 });
      listening.stream?.close();
    });

    it('47. Says which members it could not ask.', async () => {
      await search();
      await two.stop();
      expect(await found()).toMatchObject({ total: 4, missing: ['two'] });
      await two.start();
    });

    it('gives its own names to no tool of a member.', async () => {
      two.become({ tools: ['find_tools', 'other'] });
      await system.apply(
        federatedRoute({
          ...{ name: 'all', keys: { alice: 'alice-key' }, rules: ['true'], backends: { one: one.url, two: two.url } },
          spec: { members: [{ backend: 'two' }], toolSearch: { pinned: ['*'] } },
        }),
      );
      expect(await client.toolNamesModern()).toEqual([...metaNames, 'other']);
    });
  });
});

/** Waits until a condition holds. */
function untilTrue(what: string, holds: () => boolean | Promise<boolean>): Promise<true> {
  return until(what, async () => ((await holds()) ? true : undefined));
}
