import { describe, expect, it } from 'vitest';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

/** Alice sees `a` and `shared`, bob `b` and `shared`. */
const rules = [
  'tool.name == "shared"',
  'principal.subject == "alice" && tool.name == "a"',
  'principal.subject == "bob" && tool.name == "b"',
];
const tools = ['a', 'b', 'shared'];

class Lists {
  readonly path: RequestPath;
  readonly #sessions = new Map<string, Record<string, string>>();
  /** The newest result. */
  shown: unknown;

  constructor(options: RequestPathOptions = {}) {
    this.path = new RequestPath({ allow: rules, ...options });
  }

  async session(key = 'alice-key'): Promise<Record<string, string>> {
    const known = this.#sessions.get(key) ?? (await this.path.initialize({ key }));
    this.#sessions.set(key, known);
    return known;
  }

  /**
   * Lists, the server answering in pieces.
   * @returns names that are shown, and whether the node let go of every piece at once: it had nothing to look at.
   */
  async list({
    key = 'alice-key',
    names = tools,
    pieceBytes = 40,
    id = 'list' as unknown,
    place = 'head',
    params = {},
    also = {},
  } = {}) {
    const exchange = await this.path.request(await this.session(key), 'tools/list', params, id);
    const upstream = this.path.upstream.last;
    const result = { ...also, tools: names.map((name) => ({ name, inputSchema: { type: 'object' } })) };
    const own = upstream.message.id;
    const answer = place === 'head' ? { jsonrpc: '2.0', id: own, result } : { result, jsonrpc: '2.0', id: own };
    const bytes = Buffer.from(JSON.stringify(answer));
    upstream.head(200, { 'content-type': 'application/json' }, bytes.length);
    let unread = true;
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      unread = upstream.ownData(bytes.subarray(at, at + pieceBytes)) && unread;
    }
    upstream.end();
    const shown = exchange.json as { id: unknown; result: { tools: { name: string }[] } };
    this.shown = shown.result;
    if (shown.id !== id || !exchange.ended) throw new Error(`the answer is another's: ${exchange.text}`);
    return { names: shown.result.tools.map(({ name }) => name).join(), unread };
  }
}

describe('a list that its server says again', () => {
  it.each(['head', 'tail'])(
    'is shown as before, unread, under the id of whoever asks, which is at its %s',
    async (place) => {
      const lists = new Lists();
      expect(await lists.list({ place })).toEqual({ names: 'a,shared', unread: false });
      expect(await lists.list({ place, id: 7 })).toEqual({ names: 'a,shared', unread: true });
      expect(await lists.list({ place, id: 'a longer id', pieceBytes: 3 })).toEqual({
        names: 'a,shared',
        unread: true,
      });
    },
  );

  it('is private to its caller, whoever may keep the server’s', async () => {
    const lists = new Lists();
    const also = { cacheScope: 'public', ttlMs: 1 };
    for (const unread of [false, true]) {
      expect(await lists.list({ also, place: 'tail' })).toEqual({ names: 'a,shared', unread });
      expect(lists.shown).toMatchObject({ cacheScope: 'private', ttlMs: 1 });
    }
  });

  it('is shown to each caller as rules say', async () => {
    const lists = new Lists();
    for (const unread of [false, true]) {
      expect(await lists.list()).toEqual({ names: 'a,shared', unread });
      expect(await lists.list({ key: 'bob-key' })).toEqual({ names: 'b,shared', unread });
    }
  });

  it('is read when anything of it has changed, wherever', async () => {
    const lists = new Lists();
    await lists.list();
    for (const names of [
      ['x', 'b', 'shared'],
      ['a', 'b', 'shares'],
      ['a', 'b', 'shared', 'b'],
      ['a', 'b'],
    ]) {
      const visible = names.filter((name) => name === 'a' || name === 'shared').join();
      expect(await lists.list({ names })).toEqual({ names: visible, unread: false });
      expect(await lists.list({ names })).toEqual({ names: visible, unread: true });
    }
  });

  it('is decided about anew when the rules have changed, also while it comes', async () => {
    const lists = new Lists();
    await lists.list();
    await lists.path.swap({ allow: ['tool.name == "b"'] });
    expect(await lists.list()).toEqual({ names: 'b', unread: false });
    const exchange = await lists.path.request(await lists.session(), 'tools/list', {}, 'late');
    await lists.path.swap({ allow: ['tool.name == "shared"'], revision: 3 });
    lists.path.upstream.last.result({ tools: tools.map((name) => ({ name, inputSchema: { type: 'object' } })) });
    expect(exchange.json).toMatchObject({ result: { tools: [{ name: 'shared' }] } });
  });

  it.each(['now < timestamp("2100-01-01T00:00:00Z")', 'session.id != ""'])(
    'is decided about anew where a rule reads %s',
    async (condition) => {
      const lists = new Lists({ allow: [`tool.name == "a" && ${condition}`] });
      for (let i = 0; i < 2; i += 1) expect(await lists.list()).toEqual({ names: 'a', unread: false });
    },
  );

  it('is not remembered beyond the bound, nor when it is a further page', async () => {
    const small = new Lists({ limits: { listMemoryBytes: 100 } });
    for (let i = 0; i < 2; i += 1) expect(await small.list()).toEqual({ names: 'a,shared', unread: false });
    const paged = new Lists();
    for (let i = 0; i < 2; i += 1) {
      expect(await paged.list({ params: { cursor: 'next' } })).toEqual({ names: 'a,shared', unread: false });
    }
  });

  it('gives way to others when there is no room for all', async () => {
    const lists = new Lists({ limits: { listMemoryBytes: 600 } });
    await lists.list();
    await lists.list({ key: 'bob-key' });
    expect([await lists.list({ key: 'bob-key' }), await lists.list()].map(({ unread }) => unread)).toEqual([
      true,
      false,
    ]);
  });
});
