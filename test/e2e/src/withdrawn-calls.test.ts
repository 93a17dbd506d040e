import {
  finalMessage,
  gateway,
  mcpRoute,
  type ModernMcpServer,
  RawMcpClient,
  startModernMcpServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key', bob: 'bob-key' };

describe('a call whose tool has not answered yet', () => {
  let upstream: ModernMcpServer;
  let system: System;

  const route = (rules: readonly string[]) => mcpRoute({ name: 'assistant', url: upstream.url, keys, rules });

  beforeAll(async () => {
    upstream = await startModernMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([gateway(), tenant(), ...route(['true'])]);
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  it('ends when it is forbidden, is cancelled at the upstream, and nobody else notices', async () => {
    const call = async (token: string) => {
      const client = new RawMcpClient({ url: system.endpoint('acme', 'assistant'), token });
      const answer = client.modern('tools/call', { name: 'slow_progress', arguments: { key: token } });
      return { answer, held: await upstream.held.withKey(token) };
    };
    const [alice, bob] = [await call('alice-key'), await call('bob-key')];
    await system.apply(route(['principal.subject != "alice"']), { wait: false });
    const message = await finalMessage(await alice.answer);
    expect(message).toMatchObject({ error: { code: -32000, data: { reason: 'revoked' } } });
    await until('the upstream to hear of it', () => (alice.held.signal.aborted ? true : undefined));
    expect(bob.held.signal.aborted).toBe(false);
    bob.held.finish('done');
    expect(await finalMessage(await bob.answer)).toMatchObject({ result: { content: [{ text: 'done' }] } });
    const ended = await until('both events', async () => {
      const calls = (await system.node(0).events()).filter(({ tool }) => tool === 'slow_progress');
      return calls.length === 2 ? calls : undefined;
    });
    expect(ended.map(({ principal, error }) => [principal, error])).toEqual([
      ['api-key:alice', 'revoked'],
      ['api-key:bob', ''],
    ]);
  });
});
