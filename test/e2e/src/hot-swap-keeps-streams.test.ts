import {
  feedUri,
  finalMessage,
  gateway,
  type LegacyMcpServer,
  type McpAnswer,
  mcpRoute,
  type McpStream,
  type Message,
  type ModernMcpServer,
  policy,
  RawMcpClient,
  type ResourceFile,
  startLegacyMcpServer,
  startModernMcpServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
const changes = 200;
/** Longest time from the commit that withdraws a permission to the end of a stream that had it. */

type Kind = 'legacy GET' | 'legacy call' | 'modern listen';

interface OpenStream {
  readonly kind: Kind;
  readonly route: string;
  readonly client: RawMcpClient;
  readonly stream: McpStream;
  /** JSON-RPC id of the request that the stream answers; undefined for GET. */
  readonly id: string | undefined;
}

/** How many streams of each kind a route has. Together they are the hundred. */
const plan: Readonly<Record<string, Partial<Record<Kind, number>>>> = {
  // Nothing is ever said about these.
  'quiet-legacy': { 'legacy GET': 30, 'legacy call': 24 },
  'quiet-modern': { 'modern listen': 24 },
  // The set of visible tools changes here, the right to go on does not.
  'watched-legacy': { 'legacy GET': 4, 'legacy call': 4 },
  'watched-modern': { 'modern listen': 4 },
  // The credential is withdrawn here, in the end.
  'closed-legacy': { 'legacy GET': 3, 'legacy call': 4 },
  'closed-modern': { 'modern listen': 3 },
};

describe('a hundred streams through two hundred changes of the configuration', () => {
  let legacy: LegacyMcpServer;
  let modern: ModernMcpServer;
  let system: System;
  const streams: OpenStream[] = [];
  const visible = ['slow_progress', 'echo', 'hidden'];

  const allow = (names: readonly string[]) => [`tool.name in ${JSON.stringify(names)}`, 'resource.uri != ""'];
  const routes = (): ResourceFile[] =>
    Object.keys(plan).flatMap((name) =>
      mcpRoute({ name, url: name.endsWith('modern') ? modern.url : legacy.url, keys, rules: allow(visible) }),
    );

  beforeAll(async () => {
    legacy = await startLegacyMcpServer();
    modern = await startModernMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([gateway(), tenant(), tenant('globex'), ...routes()]);
    for (const [route, kinds] of Object.entries(plan)) {
      for (const [kind, count] of Object.entries(kinds)) {
        for (let i = 0; i < count; i += 1) streams.push(await open(kind as Kind, route));
      }
    }
    const gets = streams.filter(({ kind }) => kind === 'legacy GET').length;
    await legacy.requests.first(
      'every GET at the upstream',
      () => legacy.requests.items.filter(({ method }) => method === 'GET').length >= gets,
    );
  });

  afterAll(async () => {
    for (const { stream } of streams) stream.close();
    await system.stop();
    await legacy.stop();
    await modern.stop();
  });

  const open = async (kind: Kind, route: string): Promise<OpenStream> => {
    const client = new RawMcpClient({ url: system.endpoint('acme', route), token: 'alice-key' });
    const id = `${route}-${streams.length}`;
    const opened = (answer: McpAnswer): McpStream => {
      if (!answer.stream) throw new Error(`no stream on ${route}: ${answer.status} ${answer.text}`);
      return answer.stream;
    };
    // Every client has listed the tools: that is what `list_changed` is about.
    if (kind === 'modern listen') {
      await client.toolNamesModern();
      const notifications = { toolsListChanged: true, resourceSubscriptions: [feedUri] };
      const stream = opened(await client.modern('subscriptions/listen', { notifications }));
      const acknowledged = await stream.messages.atLeast(1);
      return { kind, route, client, stream, id: String(subscriptionOf(acknowledged[0])) };
    }
    await client.initialize();
    await client.toolNames();
    if (kind === 'legacy GET') return { kind, route, client, stream: opened(await client.get()), id: undefined };
    const params = { name: 'slow_progress', arguments: { key: id }, _meta: { progressToken: id } };
    const answer = client.post({ jsonrpc: '2.0', id, method: 'tools/call', params });
    await (await legacy.held.withKey(id)).emit(0);
    const stream = opened(await answer);
    await stream.messages.atLeast(1);
    return { kind, route, client, stream, id };
  };

  /** Message number `n` on every stream. */
  const emitAll = async (n: number): Promise<void> => {
    modern.notifyAll(n);
    await legacy.notifyAll(n);
    await Promise.all(legacy.held.all.map((call) => call.emit(n)));
  };

  /** One of several kinds of change; none takes a permission away from an open stream. */
  const change = (
    n: number,
  ): { readonly put: ResourceFile[]; readonly remove?: readonly [kind: string, name: string][] } => {
    const round = Math.floor((n - 1) / 5);
    const extra = `extra-${round}`;
    const globex = mcpRoute({ tenant: 'globex', name: `g-${n}`, url: legacy.url, keys, rules: ['true'] });
    const toggled = round % 2 === 0 ? visible.slice(0, 2) : visible;
    const everywhere = (when: string): ResourceFile => ({
      apiVersion: 'signalbox.dev/v1',
      kind: 'Policy',
      metadata: { tenant: 'acme', name: 'everywhere' },
      spec: { target: { tenant: {} }, authorization: [{ effect: 'DENY', when }] },
    });
    switch ((n - 1) % 5) {
      case 0:
        return { put: mcpRoute({ name: extra, url: legacy.url, keys, rules: ['true'] }) };
      case 1:
        return { put: [policy({ name: extra, keys, rules: [`tool.name == "t${n}"`] })] };
      case 2:
        return {
          put: ['watched-legacy', 'watched-modern'].map((name) => policy({ name, keys, rules: allow(toggled) })),
        };
      case 3:
        return { put: round % 2 === 0 ? globex : [everywhere(`tool.name == "never-${n}"`)] };
      default:
        return { put: [], remove: ['Policy', 'Route', 'VirtualServer', 'Backend'].map((kind) => [kind, extra]) };
    }
  };

  const on = (...names: string[]) => streams.filter(({ route }) => names.some((name) => route.startsWith(name)));

  it('holds a hundred streams of three kinds', () => {
    expect(streams).toHaveLength(100);
    expect(new Set(streams.map(({ kind }) => kind)).size).toBe(3);
  });

  it('no stream loses or repeats a message while others and its own surroundings change', async () => {
    const table = () => system.node(0).proxy.table.value;
    for (let n = 1; n <= changes; n += 1) {
      const last = table();
      const { put, remove = [] } = change(n);
      if (remove.length > 0) await system.remove('acme', remove, { wait: false });
      else await system.apply(put, { wait: false });
      await until(`change ${n} on the node`, () => (table() === last ? undefined : true));
      await emitAll(n);
    }
    const expected = Array.from({ length: changes }, (_, i) => i + 1);
    for (const open of streams) {
      await open.stream.messages.first(
        `message ${changes} on ${open.route}`,
        (message) => numberOf(message) === changes,
      );
      const numbers = open.stream.messages.items.map(numberOf).filter((n) => n !== undefined && n > 0);
      expect({ route: open.route, kind: open.kind, numbers }).toEqual({
        route: open.route,
        kind: open.kind,
        numbers: expected,
      });
      expect(open.stream.isOver()).toBe(false);
    }
  });

  it('only clients whose tools changed were told so', () => {
    const told = ({ stream }: OpenStream) =>
      stream.messages.items.filter(({ method }) => method === 'notifications/tools/list_changed').length;
    for (const open of on('quiet', 'closed'))
      expect({ route: open.route, told: told(open) }).toEqual({ route: open.route, told: 0 });
    for (const open of on('watched').filter(({ kind }) => kind !== 'legacy call')) {
      expect({ route: open.route, kind: open.kind, told: told(open) > 0 }).toEqual({
        route: open.route,
        kind: open.kind,
        told: true,
      });
    }
  });

  it('streams of a withdrawn permission end with a reason, all others go on', async () => {
    const last = await system.revision('acme');
    await system.apply(
      ['closed-legacy', 'closed-modern'].map((name) =>
        policy({ name, keys: { alice: 'another-key' }, rules: allow(visible) }),
      ),
    );
    const closed = on('closed');
    await Promise.all(closed.map(({ stream }) => stream.ended));
    for (const open of closed) expect(reasonOf(open)).toMatch(/withdrawn|no longer accepted/i);

    await emitAll(changes + 1);
    for (const open of on('quiet', 'watched')) {
      await open.stream.messages.first(
        `the next message on ${open.route}`,
        (message) => numberOf(message) === changes + 1,
      );
    }

    await system.rollback('acme', last);
    const again = new RawMcpClient({ url: system.endpoint('acme', 'closed-legacy'), token: 'alice-key' });
    await again.initialize();
    expect(await again.toolNames()).toEqual(await clientOn('quiet-legacy').then((client) => client.toolNames()));
  });

  it('a call whose tool is withdrawn ends with a JSON-RPC error of its id', async () => {
    const call = on('watched-legacy').find(({ kind }) => kind === 'legacy call') as OpenStream;
    await system.apply([policy({ name: 'watched-legacy', keys, rules: allow(['echo']) })]);
    await call.stream.ended;
    const message = await finalMessage({ stream: call.stream } as McpAnswer);
    expect(message).toMatchObject({ id: call.id, error: { message: expect.stringMatching(/withdrawn/i) } });
    const get = on('watched-legacy').find(({ kind }) => kind === 'legacy GET') as OpenStream;
    expect(get.stream.isOver()).toBe(false);
  });

  it('a removed route ends its streams with a reason, and after a rollback all is as before', async () => {
    const before = await system.revision('acme');
    const hash = () => system.node(0).proxy.table.value?.tenants.get('acme')?.hash;
    const hashBefore = hash();
    const victims = on('watched-modern');
    await system.remove('acme', [
      ['Policy', 'watched-modern'],
      ['Route', 'watched-modern'],
    ]);
    await Promise.all(victims.map(({ stream }) => stream.ended));
    for (const open of victims) expect(reasonOf(open)).toMatch(/removed/i);
    expect(hash()).not.toBe(hashBefore);

    await system.rollback('acme', before);
    expect(hash()).toBe(hashBefore);
    expect((await clientOn('watched-modern', 'modern')).status).toBe(200);
    for (const open of on('quiet')) expect(open.stream.isOver()).toBe(false);
  });

  async function clientOn(route: string): Promise<RawMcpClient>;
  async function clientOn(route: string, era: 'modern'): Promise<McpAnswer>;
  async function clientOn(route: string, era?: 'modern'): Promise<RawMcpClient | McpAnswer> {
    const client = new RawMcpClient({ url: system.endpoint('acme', route), token: 'alice-key' });
    if (era === 'modern') return client.modern('tools/list');
    await client.initialize();
    return client;
  }
});

/** The number that a message of the fixtures carries. */
function numberOf(message: Message): number | undefined {
  const { params, method } = message;
  const meta = params?.['_meta'] as { n?: number } | undefined;
  if (method === 'notifications/progress') return params?.['progress'] as number;
  if (method === 'notifications/message') return params?.['data'] as number;
  return method === 'notifications/resources/updated' ? meta?.n : undefined;
}

function subscriptionOf(message: Message | undefined): unknown {
  return (message?.params?.['_meta'] as Record<string, unknown> | undefined)?.[
    'io.modelcontextprotocol/subscriptionId'
  ];
}

/** What the last event of a stream says about its end. */
function reasonOf({ stream }: OpenStream): string {
  return stream.events.items.at(-1)?.data ?? '';
}
