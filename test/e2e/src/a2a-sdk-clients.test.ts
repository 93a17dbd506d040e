import { SendMessageRequest, StreamResponse } from '@a2a-js/sdk';
import { type Client, ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client';
import { forwardRoute, gateway, type HttpFixture, startSystem, type System, tenant } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startSdkAgent } from './a2a-agent.ts';

const keys = { alice: 'alice-key' };

describe('a client and an agent of the official A2A SDK', () => {
  let agent: HttpFixture;
  let system: System;

  beforeAll(async () => {
    agent = await startSdkAgent();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([
      gateway(),
      tenant(),
      ...forwardRoute({
        ...{ name: 'planner', kind: 'a2a', url: `${agent.origin}/a2a`, keys },
        rules: ['a2a.method != "CancelTask"'],
      }),
    ]);
  });

  afterAll(async () => {
    await system.stop();
    await agent?.stop();
  });

  const client = (): Promise<Client> => {
    const fetchImpl: typeof fetch = (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set('authorization', 'Bearer alice-key');
      return fetch(input, { ...init, headers });
    };
    const factory = new ClientFactory({
      transports: [new JsonRpcTransportFactory({ fetchImpl })],
      cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
    });
    const url = system.endpoint('acme', 'planner').replace(/\/mcp$/, '');
    return factory.createFromUrl(`${url}/.well-known/agent-card.json`, '');
  };

  const message = (text: string) =>
    SendMessageRequest.fromJSON({ message: { messageId: text, role: 'ROLE_USER', parts: [{ text }] } });

  it('find each other through the gateway, and finish a task', async () => {
    const found = await client();
    const result = await found.sendMessage(message('plan'));
    expect(JSON.stringify(result)).toContain('"state":');
    const { id } = result as { id: string };
    expect((await found.getTask({ tenant: '', id } as never)).id).toBe(id);
  });

  it('stream what happens to a task', async () => {
    const found = await client();
    const events = [];
    for await (const event of found.sendMessageStream(message('plan'))) events.push(StreamResponse.toJSON(event));
    expect(events.length).toBeGreaterThanOrEqual(2);
    expect(JSON.stringify(events.at(-1))).toContain('TASK_STATE_COMPLETED');
  });

  it('hear of what is not there, and of what policy denies', async () => {
    const found = await client();
    await expect(found.getTask({ tenant: '', id: 'nobody' } as never)).rejects.toThrow(/not found/i);
    await expect(found.cancelTask({ tenant: '', id: 'nobody' } as never)).rejects.toThrow(/403|Not allowed/);
  });
});
