import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  federatedRoute,
  finalMessage,
  gateway,
  type HttpFixture,
  legacyVersion,
  type Message,
  modernVersion,
  policy,
  RawMcpClient,
  readBody,
  startHttpFixture,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key', bob: 'bob-key' };
const extension = {
  'io.modelcontextprotocol/clientCapabilities': { extensions: { 'io.modelcontextprotocol/tasks': {} } },
};
const unknown = { error: { code: -32602, message: 'Unknown task' } };

describe('tasks of a virtual server', () => {
  let system: System;
  let members: readonly TaskMember[];

  const present = (name: 'new' | 'old', of: readonly TaskMember[]) => {
    const backends = Object.fromEntries(of.map((member) => [member.name, member.url]));
    return system.apply(federatedRoute({ name, backends, keys, rules: ['true'] }));
  };

  beforeAll(async () => {
    members = await Promise.all([
      ...['n-one', 'n-two'].map((name) => startTaskMember(name, 'modern')),
      ...['o-one', 'o-two'].map((name) => startTaskMember(name, 'legacy')),
    ]);
    system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 2 });
    await system.apply([gateway(), tenant()]);
    await present('new', members.slice(0, 2));
    await present('old', members.slice(2));
  });

  afterAll(async () => {
    await system.stop();
    await Promise.all(members.map((member) => member.stop()));
  });

  const member = (name: string): TaskMember => members.find((one) => one.name === name) as TaskMember;
  const at = (node: number, route: string, token = 'alice-key'): RawMcpClient =>
    new RawMcpClient({ url: system.endpoint('acme', route, node), token });

  describe('by the extension', () => {
    const begin = async (name: string): Promise<string> => {
      const begun = await at(0, 'new').modern('tools/call', { name: `${name}__job`, _meta: extension });
      expect(begun.message?.result).toMatchObject({ resultType: 'task', status: 'working' });
      return String(begun.message?.result?.['taskId']);
    };
    const about = async (method: string, taskId: string, node = 1, token = 'alice-key', more: object = {}) =>
      finalMessage(
        await at(node, 'new', token).modern(method, { taskId, ...more, _meta: extension }, { 'mcp-name': taskId }),
      );

    it('51. A task lives at its member, through any node, under an id of its own though members name theirs alike.', async () => {
      const [one, two] = [await begin('n-one'), await begin('n-two')];
      expect(one).not.toBe(two);
      for (const [name, id] of [
        ['n-one', one],
        ['n-two', two],
      ] as const) {
        const got = await about('tasks/get', id);
        expect(got.result).toMatchObject({
          taskId: id,
          status: 'completed',
          result: { content: [{ text: `${name} did it` }] },
        });
        expect(await about('tasks/update', id, 0, 'alice-key', { inputResponses: {} })).toHaveProperty('result');
        expect(await about('tasks/cancel', id)).toHaveProperty('result');
        const heard = member(name).heard.filter(({ method }) => method.startsWith('tasks/') && method !== 'tasks/list');
        expect(heard).toEqual(
          ['tasks/get', 'tasks/update', 'tasks/cancel'].map((method) => ({ method, task: 'task-1', header: 'task-1' })),
        );
      }
    });

    it('51. It is an unknown one to another principal, to whoever makes up an id, and when its tool is denied.', async () => {
      const id = await begin('n-one');
      const before = member('n-one').heard.length;
      for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
        expect(await about(method, id, 0, 'bob-key')).toMatchObject(unknown);
        expect(await about(method, 'task-1')).toMatchObject(unknown);
      }
      await system.apply([policy({ name: 'new', keys, rules: ['tool.name != "n-one__job"'] })]);
      expect(await about('tasks/get', id)).toMatchObject(unknown);
      await system.apply([policy({ name: 'new', keys, rules: ['true'] })]);
      expect(member('n-one').heard).toHaveLength(before);
      expect(await about('tasks/get', id)).toHaveProperty('result');
    });

    it('53. It goes with its member, is back with it, and those of other members stay.', async () => {
      const [one, two] = [await begin('n-one'), await begin('n-two')];
      await present('new', [member('n-two')]);
      expect(await about('tasks/get', one)).toMatchObject(unknown);
      expect(await about('tasks/get', two)).toMatchObject({ result: { taskId: two } });
      await present('new', members.slice(0, 2));
      expect(await about('tasks/get', one, 0)).toMatchObject({ result: { taskId: one } });
    });
  });

  describe('of 2025-11-25', () => {
    const connect = async (token = 'alice-key'): Promise<RawMcpClient> => {
      const client = at(0, 'old', token);
      expect((await client.initialize()).status).toBe(200);
      return client;
    };
    const moved = ({ session, version }: RawMcpClient): RawMcpClient =>
      Object.assign(at(1, 'old'), { session, version });
    const begin = async (client: RawMcpClient, name: string): Promise<string> => {
      const begun = await client.rpc('tools/call', { name: `${name}__job`, task: { ttl: 60_000 } });
      return String((begun.message?.result?.['task'] as { taskId?: string } | undefined)?.taskId);
    };
    const about = async (client: RawMcpClient, method: string, taskId: string): Promise<Message> =>
      finalMessage(await client.rpc(method, { taskId }));

    it('51. They are promised as members have them, but for lists, which would be of all callers together.', async () => {
      const client = at(0, 'old');
      const { message } = await client.initialize();
      expect(message?.result?.['capabilities']).toMatchObject({
        tasks: { cancel: {}, requests: { tools: { call: {} } } },
      });
      expect(JSON.stringify(message?.result?.['capabilities'])).not.toContain('"list":');
      expect(await finalMessage(await client.rpc('tasks/list'))).toMatchObject({ error: { code: -32601 } });
      expect(members.some(({ heard }) => heard.some(({ method }) => method === 'tasks/list'))).toBe(false);
    });

    it('51. A task lives at its member, through any node: it is asked for, its result had, and cancelled.', async () => {
      const client = await connect();
      const ids = [await begin(client, 'o-one'), await begin(client, 'o-two')];
      expect(new Set([...ids, 'task-1']).size).toBe(3);
      for (const [index, name] of ['o-one', 'o-two'].entries()) {
        const id = ids[index] as string;
        expect(await about(moved(client), 'tasks/get', id)).toMatchObject({
          result: { taskId: id, status: 'working' },
        });
        expect(await about(moved(client), 'tasks/result', id)).toMatchObject({
          result: {
            content: [{ text: `${name} did it` }],
            _meta: { 'io.modelcontextprotocol/related-task': { taskId: id } },
          },
        });
        expect(await about(client, 'tasks/cancel', id)).toMatchObject({ result: { taskId: id, status: 'cancelled' } });
        expect(member(name).heard.map(({ method, task }) => [method, task])).toEqual([
          ['tasks/get', 'task-1'],
          ['tasks/result', 'task-1'],
          ['tasks/cancel', 'task-1'],
        ]);
      }
    });

    it('51. It is an unknown one to another principal, and when its member is gone.', async () => {
      const client = await connect();
      const bob = await connect('bob-key');
      const id = await begin(client, 'o-one');
      const before = member('o-one').heard.length;
      for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel']) {
        expect(await about(bob, method, id)).toMatchObject(unknown);
      }
      await present('old', [member('o-two')]);
      expect(await about(client, 'tasks/get', id)).toMatchObject(unknown);
      expect(member('o-one').heard).toHaveLength(before);
      await present('old', members.slice(2));
      expect(await about(client, 'tasks/get', id)).toMatchObject({ result: { taskId: id } });
    });
  });
});

interface Heard {
  readonly method: string;
  /** The task that it was about, and what `Mcp-Name` said. */
  readonly task: unknown;
  readonly header?: unknown;
}

interface TaskMember extends HttpFixture {
  readonly name: string;
  readonly url: string;
  /** Requests about tasks. */
  readonly heard: Heard[];
}

/** A server whose only tool, `job`, becomes a task that is always called task-1. */
async function startTaskMember(name: string, era: 'legacy' | 'modern'): Promise<TaskMember> {
  const heard: Heard[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { id, method = '', params = {} } = JSON.parse((await readBody(request)) || '{}') as Message;
    const answer = (body: object, status = 200): void => {
      const headers = {
        'content-type': 'application/json',
        ...(method === 'initialize' ? { 'mcp-session-id': 's' } : {}),
      };
      response.writeHead(status, headers).end(JSON.stringify({ jsonrpc: '2.0', id: id ?? null, ...body }));
    };
    if (request.method !== 'POST') return void response.writeHead(405).end();
    if (id === undefined) return void response.writeHead(202).end();
    if (method.startsWith('tasks/')) {
      const header = request.headers['mcp-name'];
      heard.push({ method, task: params['taskId'], ...(header !== undefined && { header }) });
    }
    const found = era === 'modern' ? modernAnswer(name, method) : legacyAnswer(name, method);
    answer(found, 'error' in found ? 400 : 200);
  };
  const http = await startHttpFixture((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  return { ...http, name, url: `${http.origin}/mcp`, heard };
}

const task = (status: string): object => {
  const at = '2026-11-22T08:00:00Z';
  return { taskId: 'task-1', status, createdAt: at, lastUpdatedAt: at };
};
const refusal = (code: number, message: string): object => ({ error: { code, message } });

function modernAnswer(name: string, method: string): object {
  const complete = { resultType: 'complete' };
  const content = [{ type: 'text', text: `${name} did it` }];
  switch (method) {
    case 'server/discover': {
      const cached = { ttlMs: 0, cacheScope: 'private' };
      return { result: { ...complete, ...cached, supportedVersions: [modernVersion], capabilities: { tools: {} } } };
    }
    case 'tools/call':
      return { result: { resultType: 'task', ...task('working'), ttlMs: null } };
    case 'tasks/get':
      return { result: { ...complete, ...task('completed'), ttlMs: null, result: { content } } };
    case 'tasks/update':
    case 'tasks/cancel':
      return { result: complete };
    default:
      return refusal(-32022, 'Unsupported protocol version');
  }
}

function legacyAnswer(name: string, method: string): object {
  const tasks = { list: {}, cancel: {}, requests: { tools: { call: {} } } };
  const related = { 'io.modelcontextprotocol/related-task': { taskId: 'task-1' } };
  switch (method) {
    case 'initialize': {
      const serverInfo = { name, version: '1' };
      return { result: { protocolVersion: legacyVersion, serverInfo, capabilities: { tools: {}, tasks } } };
    }
    case 'tools/call':
      return { result: { task: task('working') } };
    case 'tasks/get':
      return { result: task('working') };
    case 'tasks/result':
      return { result: { content: [{ type: 'text', text: `${name} did it` }], _meta: related } };
    case 'tasks/cancel':
      return { result: task('cancelled') };
    default:
      return refusal(-32600, 'Server not initialized');
  }
}
