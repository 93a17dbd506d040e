import { describe, expect, it } from 'vitest';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

const limits = { handles: { stateMs: 60_000, tasks: 100 } };
const asked = (requestState: string) => ({
  resultType: 'input_required',
  inputRequests: { name: { method: 'elicitation/create', params: { message: 'Name?', requestedSchema: {} } } },
  requestState,
});

/** A call at a modern server that was answered with a state. @returns what the client got. */
async function begun(path: RequestPath, state: string, params: object = { name: 'echo' }): Promise<string> {
  const exchange = await path.modern('tools/call', params as Record<string, unknown>);
  path.upstream.last.result(asked(state));
  return stateIn(exchange);
}

function stateIn(exchange: FakeExchange): string {
  return (exchange.json as { result: { requestState: string } }).result.requestState;
}

const retry = (path: RequestPath, requestState: string, params: object = {}, headers: Record<string, string> = {}) =>
  path.modern(
    'tools/call',
    { name: 'echo', inputResponses: { name: { action: 'accept' } }, requestState, ...params },
    { headers },
  );

/** Two nodes with the same keys, both of which know that the server is modern. */
async function nodes(options: RequestPathOptions = {}): Promise<[RequestPath, RequestPath]> {
  const one = new RequestPath({ limits, ...options });
  const two = new RequestPath({ limits, ...options, sessionKeys: one.sessionKeys, seed: 2 });
  for (const path of [one, two]) {
    await path.modern('tools/list');
    path.upstream.last.result({ tools: [] });
  }
  return [one, two];
}

describe('a state that a modern server gives', () => {
  it('comes back to it byte for byte, through any node, in every round', async () => {
    const [one, two] = await nodes();
    let state = await begun(one, 'st/ä "1"\n');
    for (const [path, said, next] of [
      [two, 'st/ä "1"\n', 'second'],
      [one, 'second', 'third'],
    ] as const) {
      expect(state).not.toContain('st/');
      const exchange = await retry(path, state);
      expect(path.upstream.last.message.params).toMatchObject({
        requestState: said,
        inputResponses: { name: { action: 'accept' } },
      });
      path.upstream.last.result(asked(next));
      state = stateIn(exchange);
    }
    const last = await retry(two, state);
    expect(two.upstream.last.message.params).toMatchObject({ requestState: 'third' });
    two.upstream.last.result({ resultType: 'complete', content: [] });
    expect(last.json).toMatchObject({ result: { resultType: 'complete' } });
  });

  it('is sealed within an event stream and a large answer too', async () => {
    const path = new RequestPath({ limits: { ...limits, wholeAnswerBytes: 1_000 } });
    const streamed = await path.modern('tools/call', { name: 'echo' });
    path.upstream.last.openEvents();
    path.upstream.last.resultEvent(asked('secret'));
    path.upstream.last.end();
    expect(streamed.text).not.toContain('secret');
    const large = await path.modern('tools/call', { name: 'echo' });
    path.upstream.last.answer(
      { jsonrpc: '2.0', id: path.upstream.last.message.id, result: { ...asked('secret'), filler: 'x'.repeat(5_000) } },
      { pieces: 7 },
    );
    expect(large.text).not.toContain('secret');
    expect(large.json).toMatchObject({ id: 1, result: { filler: 'x'.repeat(5_000) } });
  });

  it.each<[string, (path: RequestPath, state: string) => Promise<FakeExchange>]>([
    ['changed', (path, state) => retry(path, `${state.slice(0, -2)}AA`)],
    ['made up', (path) => retry(path, 'secret')],
    ['of another caller', (path, state) => retry(path, state, {}, { authorization: 'Bearer bob-key' })],
    ['for another tool', (path, state) => retry(path, state, { name: 'other' })],
    ['for other arguments', (path, state) => retry(path, state, { arguments: { a: 1 } })],
    [
      'that has expired',
      async (path, state) => {
        await path.clock.advance(61_000);
        return retry(path, state);
      },
    ],
    [
      'of another server',
      async (path, state) => {
        await path.swap({ backendUrl: 'http://127.0.0.1:3009/mcp' });
        return retry(path, state);
      },
    ],
  ])('is refused with -32602 when it is %s, and the server hears nothing of it', async (_, bring) => {
    const path = new RequestPath({ limits });
    const state = await begun(path, 'secret');
    const exchange = await bring(path, state);
    expect([exchange.status, exchange.json]).toMatchObject([200, { id: 1, error: { code: -32602 } }]);
    expect(path.upstream.calls.filter((call) => call.text.includes('requestState'))).toEqual([]);
    expect(path.upstream.calls.filter(({ message }) => message.method === 'tools/call')).toHaveLength(1);
  });
});

describe('log messages within a modern call', () => {
  const log = (level: string) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { level, data: level } });

  it.each([
    ['none without a level', {}, []],
    ['from its level on', { 'io.modelcontextprotocol/logLevel': 'warning' }, ['warning', 'error']],
  ])('reach the client %s, others do not', async (_, meta, levels) => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/call', { name: 'echo' }, { meta });
    path.upstream.last.openEvents();
    for (const level of ['debug', 'info', 'warning', 'error']) path.upstream.last.event(log(level));
    path.upstream.last.resultEvent({ resultType: 'complete' });
    path.upstream.last.end();
    expect(exchange.events).toEqual([
      ...levels.map(log),
      { jsonrpc: '2.0', id: 1, result: { resultType: 'complete' } },
    ]);
  });
});
