import { describe, expect, it } from 'vitest';
import type { FakeExchange } from '../../testing/fake-exchange.ts';
import type { FakeUpstreamCall } from '../../testing/fake-upstream.ts';
import { RequestPath } from '../../testing/request-path.ts';

const extension = 'io.modelcontextprotocol/tasks';
const data = { requiredCapabilities: { extensions: { [extension]: {} } } };

/** A legacy client at a modern server that can do a call only as a task. */
class Waiting {
  readonly path = new RequestPath();
  session: Record<string, string> = {};
  exchange: FakeExchange | undefined;

  async begin(): Promise<void> {
    const { path } = this;
    const params = { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: { name: 'c' } };
    const begun = await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
    path.upstream.last.answer({ jsonrpc: '2.0', id: '$id', error: { code: -32_022, message: 'no' } }, { status: 400 });
    path.upstream.last.result({ supportedVersions: ['2026-07-28'], capabilities: { tools: {} } });
    await path.settled();
    const id = begun.headers['mcp-session-id'] ?? '';
    this.session = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' };
    this.exchange = await path.request(this.session, 'tools/call', { name: 'echo' }, 'mine');
    path.upstream.last.answer(
      { jsonrpc: '2.0', id: '$id', error: { code: -32_021, message: 'no', data } },
      { status: 400 },
    );
    path.upstream.last.result({ resultType: 'task', taskId: 'task 1', status: 'working', pollIntervalMs: 2_000 });
  }

  /** The next look at the task. */
  async look(): Promise<FakeUpstreamCall> {
    await this.path.clock.advance(2_001);
    return this.path.upstream.last;
  }

  told(status: string, more: object = {}): object {
    return { resultType: 'complete', taskId: 'task 1', status, ...more };
  }

  calls(method: string): readonly FakeUpstreamCall[] {
    return this.path.upstream.calls.filter(({ message }) => message.method === method);
  }
}

async function begun(): Promise<Waiting> {
  const waiting = new Waiting();
  await waiting.begin();
  return waiting;
}

describe('a legacy client whose server needs tasks', () => {
  it('waits for the result, which the gateway asks for as often as the server would like', async () => {
    const waiting = await begun();
    const [first, second] = waiting.calls('tools/call');
    const declared = (call?: FakeUpstreamCall): unknown => {
      const meta = call?.message.params?.['_meta'] as Record<string, unknown> | undefined;
      return meta?.['io.modelcontextprotocol/clientCapabilities'];
    };
    expect([declared(first), declared(second)]).toEqual([
      { elicitation: {} },
      { elicitation: {}, extensions: { [extension]: {} } },
    ]);
    expect(second?.message.id).not.toBe(first?.message.id);
    const look = await waiting.look();
    expect([look.message.method, look.message.params?.['taskId'], look.header('mcp-name')]).toEqual([
      ...['tasks/get', 'task 1', 'task 1'],
    ]);
    look.result(waiting.told('working'));
    (await waiting.look()).result(waiting.told('completed', { result: { content: ['x'], resultType: 'complete' } }));
    expect(waiting.calls('tasks/get')).toHaveLength(2);
    expect(waiting.exchange?.json).toEqual({ jsonrpc: '2.0', id: 'mine', result: { content: ['x'] } });
    await waiting.path.clock.advance(60_000);
    expect(waiting.calls('tasks/get')).toHaveLength(2);
  });

  it('is asked what the task asks, once, on the stream of its call', async () => {
    const waiting = await begun();
    const ask = { method: 'elicitation/create', params: { message: 'Sure?', requestedSchema: {} } };
    (await waiting.look()).result(waiting.told('input_required', { inputRequests: { sure: ask } }));
    const [question] = (waiting.exchange?.events ?? []) as { id: unknown; method: string }[];
    expect(question?.method).toBe('elicitation/create');
    const answer = { jsonrpc: '2.0', id: question?.id, result: { action: 'accept', content: {} } };
    await waiting.path.post(answer, waiting.session);
    expect(waiting.calls('tasks/update')[0]?.message.params).toMatchObject({
      taskId: 'task 1',
      inputResponses: { sure: { action: 'accept', content: {} } },
    });
    (await waiting.look()).result(waiting.told('input_required', { inputRequests: { sure: ask } }));
    (await waiting.look()).result(waiting.told('completed', { result: { content: [] } }));
    expect(waiting.exchange?.events).toMatchObject([{ id: question?.id }, { id: 'mine', result: { content: [] } }]);
  });

  it.each([
    ['failed', { error: { code: -32_603, message: 'broke' } }, { code: -32_603, message: 'broke' }],
    ['cancelled', {}, { code: -32_000 }],
  ])('is told when the task has %s', async (status, more, error) => {
    const waiting = await begun();
    (await waiting.look()).result(waiting.told(status, more));
    expect(waiting.exchange?.json).toMatchObject({ id: 'mine', error });
  });

  it('cancels the task by cancelling its call, and gives up when the call has taken too long', async () => {
    const waiting = await begun();
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'mine' } };
    await waiting.path.post(cancelled, waiting.session);
    expect(waiting.calls('tasks/cancel')[0]?.message.params).toMatchObject({ taskId: 'task 1' });
    expect(waiting.exchange?.json).toMatchObject({ id: 'mine', error: {} });
    const late = await begun();
    for (let at = 0; at < 200 && late.exchange?.answered !== true; at += 1) {
      const look = await late.look();
      if (look.message.method === 'tasks/get') look.result(late.told('working'));
    }
    expect(late.exchange?.json).toMatchObject({ id: 'mine', error: { code: -32_603 } });
    expect(late.calls('tasks/cancel')).toHaveLength(1);
  });

  it('hears that the task is lost', async () => {
    const waiting = await begun();
    const error = { code: -32_602, message: 'Unknown task' };
    (await waiting.look()).answer({ jsonrpc: '2.0', id: '$id', error });
    expect(waiting.exchange?.json).toMatchObject({ id: 'mine', error: { code: -32_603 } });
  });
});
