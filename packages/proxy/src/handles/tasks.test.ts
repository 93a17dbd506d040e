import { describe, expect, it } from 'vitest';
import { RequestPath } from '../testing/request-path.ts';

const task = (taskId: string, more: object = {}) => ({ taskId, status: 'working', ttlMs: null, ...more });
const related = (taskId: string) => ({ 'io.modelcontextprotocol/related-task': { taskId } });
const extension = {
  'io.modelcontextprotocol/clientCapabilities': { extensions: { 'io.modelcontextprotocol/tasks': {} } },
};

/** A modern call that became a task. @returns its id as the client has it. */
async function begunModern(path: RequestPath, own = 'task-1'): Promise<string> {
  const exchange = await path.modern('tools/call', { name: 'echo' }, { meta: extension });
  path.upstream.last.result({ resultType: 'task', ...task(own) });
  return (exchange.json as { result: { taskId: string } }).result.taskId;
}

const aboutTask = (path: RequestPath, method: string, taskId: string, options: { key?: string } = {}) =>
  path.modern(
    method,
    { taskId },
    { headers: { 'mcp-name': taskId, authorization: `Bearer ${options.key ?? 'alice-key'}` }, meta: extension },
  );

describe('a task at a modern server', () => {
  it('goes by a sealed id that is always the same, and leads to the server through any node', async () => {
    const path = new RequestPath();
    const id = await begunModern(path);
    expect(id).not.toContain('task-1');
    const other = new RequestPath({ sessionKeys: path.sessionKeys, seed: 9 });
    for (const node of [path, other]) {
      for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
        const exchange = await aboutTask(node, method, id);
        const sent = node.upstream.last;
        expect([sent.message.method, sent.message.params?.['taskId'], sent.header('mcp-name')]).toEqual([
          ...[method, 'task-1', 'task-1'],
        ]);
        sent.result({ resultType: 'complete', ...task('task-1', { status: 'completed', result: { content: [] } }) });
        expect(exchange.json).toMatchObject({ result: { taskId: id, result: { content: [] } } });
      }
    }
  });

  it.each<[string, (path: RequestPath, id: string) => Promise<{ json: unknown }>]>([
    ['another principal', (path, id) => aboutTask(path, 'tasks/get', id, { key: 'bob-key' })],
    ['who makes one up', (path) => aboutTask(path, 'tasks/get', 'task-1')],
    [
      'whom policy takes the tool from',
      async (path, id) => {
        await path.swap({ deny: ['tool.name == "echo"'] });
        return aboutTask(path, 'tasks/get', id);
      },
    ],
    [
      'whose route leads elsewhere',
      async (path, id) => {
        await path.swap({ backendUrl: 'http://127.0.0.1:3009/mcp' });
        return aboutTask(path, 'tasks/get', id);
      },
    ],
  ])('is unknown to %s', async (_, ask) => {
    const path = new RequestPath();
    const id = await begunModern(path);
    expect((await ask(path, id)).json).toMatchObject({ error: { code: -32602, message: 'Unknown task' } });
    expect(path.upstream.calls.filter(({ message }) => message.method === 'tasks/get')).toEqual([]);
  });

  it('is asked for only by requests that declare the extension', async () => {
    const path = new RequestPath();
    const id = await begunModern(path);
    const sent = path.upstream.calls.length;
    const exchange = await path.modern('tasks/get', { taskId: id }, { headers: { 'mcp-name': id } });
    const data = { requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } };
    expect([exchange.status, exchange.json]).toMatchObject([400, { error: { code: -32021, data } }]);
    expect(path.upstream.calls).toHaveLength(sent);
  });

  it('is told of on a subscription, to its owner, under its sealed id', async () => {
    const path = new RequestPath();
    const id = await begunModern(path);
    const stream = await path.modern(
      'subscriptions/listen',
      { notifications: { taskIds: [id, 'made up'] } },
      { id: 7 },
    );
    const upstream = path.upstream.last;
    expect(upstream.message.params?.['notifications']).toEqual({ taskIds: ['task-1'] });
    upstream.openEvents();
    const acknowledged = { notifications: { taskIds: ['task-1'] } };
    upstream.event({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: acknowledged });
    upstream.event({ jsonrpc: '2.0', method: 'notifications/tasks', params: task('task-1') });
    expect(stream.events).toMatchObject([
      { params: { notifications: { taskIds: [id] } } },
      { method: 'notifications/tasks', params: { taskId: id } },
    ]);
  });

  it('is not seen in results of other tools', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/call', { name: 'echo' }, { meta: extension });
    const result = { resultType: 'complete', content: [], structuredContent: { taskId: 'mine' }, taskId: 'odd' };
    path.upstream.last.result(result);
    expect((exchange.json as { result: unknown }).result).toEqual(result);
  });
});

describe('a task at a legacy server', () => {
  it('goes by a sealed id in results, requests, and what the server says and asks meanwhile', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const begun = await path.request(session, 'tools/call', { name: 'echo', task: { ttl: 1 } });
    path.upstream.last.result({ task: task('task-1') });
    const { taskId: id } = (begun.json as { result: { task: { taskId: string } } }).result.task;
    expect(id).not.toContain('task-1');
    const got = await path.request(session, 'tasks/get', { taskId: id });
    expect(path.upstream.last.message.params).toEqual({ taskId: 'task-1' });
    path.upstream.last.result(task('task-1'));
    expect(got.json).toMatchObject({ result: { taskId: id } });
    const result = await path.request(session, 'tasks/result', { taskId: id });
    const upstream = path.upstream.last;
    upstream.openEvents();
    upstream.event({ jsonrpc: '2.0', method: 'notifications/tasks/status', params: task('task-1') });
    const question = { message: 'Sure?', _meta: related('task-1') };
    upstream.event({ jsonrpc: '2.0', id: 5, method: 'elicitation/create', params: question });
    await path.post({ jsonrpc: '2.0', id: 5, result: { action: 'accept', _meta: related(id) } }, session);
    expect(path.upstream.last.message).toMatchObject({ result: { action: 'accept', _meta: related('task-1') } });
    upstream.resultEvent({ content: [], _meta: related('task-1') });
    expect(result.events).toMatchObject([
      { params: { taskId: id } },
      { method: 'elicitation/create', params: { _meta: related(id) } },
      { result: { _meta: related(id) } },
    ]);
  });

  it('is nobody else’s, and nobody’s tasks are listed', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const begun = await path.request(session, 'tools/call', { name: 'echo', task: {} });
    path.upstream.last.result({ task: task('task-1') });
    const { taskId } = (begun.json as { result: { task: { taskId: string } } }).result.task;
    const bob = await path.initialize({ key: 'bob-key', upstreamSession: 'upstream-2' });
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel']) {
      const exchange = await path.request(bob, method, { taskId });
      expect(exchange.json).toMatchObject({ error: { code: -32602, message: 'Unknown task' } });
    }
    expect((await path.request(session, 'tasks/list')).json).toMatchObject({ error: { code: -32601 } });
  });
});
