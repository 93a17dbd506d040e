import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  finalMessage,
  gateway,
  mcpRoute,
  type McpAnswer,
  type MemberServer,
  RawMcpClient,
  startFileNode,
  startMemberServer,
  type SystemNode,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const keys = { alice: 'alice-key' };
let server: MemberServer;
let node: SystemNode;
let folder: string;

beforeAll(async () => {
  server = await startMemberServer({ tools: ['echo', 'hold'] });
  const routes = mcpRoute({ name: 'member', url: server.url, keys, rules: ['true'] });
  const settings = { SIGNALBOX_PROXY_MAX_CALLS: '1', SIGNALBOX_PROXY_OVERLOAD_HOLD: '20' };
  folder = await mkdtemp(join(tmpdir(), 'signalbox-overload-'));
  const config = join(folder, 'signalbox.yaml');
  await writeFile(config, yaml([gateway(), tenant(), ...routes]));
  node = await startFileNode(config, settings);
});

afterAll(async () => {
  await node.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function client(): Promise<RawMcpClient> {
  const made = new RawMcpClient({ url: node.endpoint('acme', 'member'), token: 'alice-key' });
  await made.initialize();
  return made;
}

// The tests tell one story, in order: one call is under way, and the node is to have one alone.
describe('a node with as many calls as it may have', () => {
  let other: RawMcpClient;
  let answer: Promise<McpAnswer>;

  beforeAll(async () => {
    const first = await client();
    other = await client();
    answer = first.rpc('tools/call', { name: 'hold', arguments: {} });
    await server.held.atLeast(1);
  });

  it('refuses another one with the time to wait, and says so in its events and metrics', async () => {
    const refused = await other.rpc('tools/list');
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect(refused.message).toMatchObject({ id: null, error: { code: -32000 } });
    const event = await until('the event', async () =>
      (await node.events()).find(({ error }) => error === 'overloaded'),
    );
    expect(event).toMatchObject({ status: 503, method: 'POST', decision: 'none' });
    const metrics = await (await fetch(`${node.proxy.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^signalbox_proxy_overload_refused_total\{reason="calls"\} [1-9]/m);
    expect((await fetch(`${node.proxy.adminUrl}/readyz`)).status).toBe(200);
  });

  it('lets a session end, and the call under way finish', async () => {
    expect((await other.delete()).status).toBe(204);
    server.held.items[0]?.finish();
    expect((await finalMessage(await answer)).result).toHaveProperty('content');
  });

  it('takes calls again once there is room', async () => {
    const status = await until('room', async () => {
      const again = new RawMcpClient({ url: node.endpoint('acme', 'member'), token: 'alice-key' });
      const said = await again.initialize();
      return said.status === 200 ? said.status : undefined;
    });
    expect(status).toBe(200);
  });
});
