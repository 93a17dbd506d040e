import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  finalMessage,
  gateway,
  type LegacyMcpServer,
  legacyVersion,
  mcpRoute,
  type MemberServer,
  proxyReady,
  type ProxyProcess,
  RawMcpClient,
  startLegacyMcpServer,
  startMemberServer,
  startProxyProcess,
  startSystem,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
const sessionKeys = randomBytes(32).toString('base64');
const able = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } };
const drain = {
  SIGNALBOX_PROXY_DRAIN_DEADLINE: '20000',
  SIGNALBOX_PROXY_DRAIN_ACCEPT: '500',
  SIGNALBOX_PROXY_DRAIN_SPREAD: '100',
  SIGNALBOX_PROXY_WORKER_RESTART_MIN: '1',
};

let legacy: LegacyMcpServer;
let member: MemberServer;
let folder: string;
let config: string;
let proxy: ProxyProcess;

beforeAll(async () => {
  legacy = await startLegacyMcpServer();
  member = await startMemberServer({ tools: ['ask', 'echo'] });
  folder = await mkdtemp(join(tmpdir(), 'signalbox-workers-'));
  config = join(folder, 'signalbox.yaml');
  const routes = [
    ...mcpRoute({ name: 'legacy', url: legacy.url, keys, rules: ['true'] }),
    ...mcpRoute({ name: 'member', url: member.url, keys, rules: ['true'] }),
  ];
  await writeFile(config, yaml([gateway(), tenant(), ...routes]));
  proxy = await startProxyProcess({ config, workers: 2, env: { ...drain, SIGNALBOX_SESSION_KEYS: sessionKeys } });
  await proxyReady(proxy);
});

afterAll(async () => {
  await proxy.stop();
  await Promise.all([legacy.stop(), member.stop()]);
  await rm(folder, { recursive: true, force: true });
});

const client = (route: string): RawMcpClient =>
  new RawMcpClient({ url: proxy.endpoint('acme', route), token: 'alice-key' });

const asked = async (path: string): Promise<string> => (await fetch(`${proxy.adminUrl}${path}`)).text();

async function workersOf({ pid }: ProxyProcess): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ').filter(Boolean).map(Number);
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** Calls that go on until they are told to stop; each is a new connection, or one that was used before. */
class Load {
  readonly failures: string[] = [];
  answered = 0;
  readonly #url: URL;
  readonly #session: string;
  readonly #agents = [new Agent({ keepAlive: false }), new Agent({ keepAlive: true })];
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(url: string, session: string) {
    this.#url = new URL(url);
    this.#session = session;
    this.#running = Promise.all([0, 1, 0, 1].map((agent) => this.#run(this.#agents[agent] as Agent))).then(
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    for (const agent of this.#agents) agent.destroy();
  }

  async #run(agent: Agent): Promise<void> {
    while (!this.#stopped) {
      await this.#call(agent).then(
        (status) => (status === 200 ? (this.answered += 1) : this.failures.push(`status ${status}`)),
        (error: unknown) => this.failures.push(String(error)),
      );
    }
  }

  #call(agent: Agent): Promise<number> {
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'echo', arguments: {} },
    });
    const headers = {
      authorization: 'Bearer alice-key',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-session-id': this.#session,
      'mcp-protocol-version': legacyVersion,
    };
    return new Promise((resolve, reject) => {
      const sent = request(this.#url, { method: 'POST', agent, headers }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

async function loadOf(at: ProxyProcess): Promise<Load> {
  const url = at.endpoint('acme', 'member');
  const session = new RawMcpClient({ url, token: 'alice-key' });
  await session.initialize();
  return new Load(url, session.session ?? '');
}

// The tests tell one story, in order.
describe('a proxy of two workers', () => {
  it('serves the sessions of each at all, and goes on at any with what waits at another', async () => {
    for (let i = 0; i < 8; i += 1) {
      const question = await finalMessage(await client('member').modern('tools/call', { name: 'ask', _meta: able }));
      const requestState = String(question.result?.['requestState']);
      const inputResponses = { 'input-1': { action: 'accept', content: { name: 'Änne' } } };
      const params = { name: 'ask', inputResponses, requestState, _meta: able };
      const answer = await finalMessage(await client('member').modern('tools/call', params));
      expect(answer.result).toMatchObject({ resultType: 'complete' });
    }
    const load = await loadOf(proxy);
    await until('calls at both workers', async () => {
      const metrics = await asked('/metrics');
      const served = [0, 1].map(
        (worker) => new RegExp(`^signalbox_proxy_requests_total\\{worker="${worker}".*"tools/call"`, 'm'),
      );
      return load.answered > 100 || served.every((each) => each.test(metrics)) ? true : undefined;
    });
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  it('shows its workers as one on the admin port, and each by its number', async () => {
    const dump = JSON.parse(await asked('/config_dump')) as { workers: { node: string; hash: string }[] };
    expect(dump.workers).toHaveLength(2);
    expect(new Set(dump.workers.map(({ hash }) => hash)).size).toBe(1);
    expect(dump.workers.map(({ node }) => /-w(\d)$/.exec(node)?.[1])).toEqual(['0', '1']);
    expect(JSON.parse(await asked('/config_dump?worker=1'))).toEqual(dump.workers[1]);
    expect(JSON.parse(await asked('/members'))).toEqual({ workers: [{ members: [] }, { members: [] }] });
    const metrics = await asked('/metrics');
    expect(metrics).toMatch(/^signalbox_proxy_workers 2$/m);
    expect(metrics.match(/^signalbox_proxy_listeners_open\{worker="[01]"\} 1$/gm)).toHaveLength(2);
    expect(JSON.parse(await asked('/readyz'))).toEqual({ ready: true, reasons: [] });
  });

  it('starts a worker again that was killed, while the other serves', async () => {
    const [first = 0, second] = await workersOf(proxy);
    process.kill(first, 'SIGKILL');
    await until('its place to be taken', async () => {
      const now = await workersOf(proxy);
      return now.length === 2 && !now.includes(first) ? true : undefined;
    });
    await proxyReady(proxy);
    expect(await workersOf(proxy)).toContain(second);
    expect(await asked('/metrics')).toMatch(/^signalbox_proxy_worker_restarts_total 1$/m);
  });

  it('replaces its workers on SIGHUP without a refused connection or a cut call', async () => {
    const before = await workersOf(proxy);
    const session = client('legacy');
    await session.initialize();
    const calling = session.rpc('tools/call', {
      name: 'slow_progress',
      arguments: { key: 'held' },
      _meta: { progressToken: 1 },
    });
    const held = await legacy.held.withKey('held');
    await held.emit(1);
    const answer = await calling;
    const load = await loadOf(proxy);
    proxy.signal('SIGHUP');
    await until('the first to be replaced', () => (proxy.output().includes('takes the place of') ? true : undefined));
    held.finish('over a restart');
    expect((await finalMessage(answer)).result).toMatchObject({ content: [{ text: 'over a restart' }] });
    await until('all to be replaced', () => (proxy.output().includes('all workers were replaced') ? true : undefined));
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.answered).toBeGreaterThan(0);
    const after = await workersOf(proxy);
    expect(after).toHaveLength(2);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  });

  it('hands over to a new tree beside it on the same address, and ends when everybody is served', async () => {
    const address = new URL(proxy.endpoint('acme', 'member')).host;
    const env = { ...drain, SIGNALBOX_PROXY_LISTEN: address, SIGNALBOX_SESSION_KEYS: sessionKeys };
    const next = await startProxyProcess({ config, workers: 2, env });
    await proxyReady(next);
    const load = await loadOf(proxy);
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toBe(0);
    await load.stop();
    // A kernel that drops what waits in a socket that is closed may reset connections that nobody has taken yet.
    const isKernelKeeping = (await readFile('/proc/sys/net/ipv4/tcp_migrate_req', 'utf8')).trim() === '1';
    const cut = load.failures.filter((failure) => isKernelKeeping || !failure.includes('ECONNRESET'));
    expect(cut).toEqual([]);
    expect(load.failures.length).toBeLessThan(load.answered / 100);
    await proxy.stop();
    proxy = next;
  });

  it('leaves no worker behind when it is killed', async () => {
    const workers = await workersOf(proxy);
    expect(workers).toHaveLength(2);
    proxy.signal('SIGKILL');
    await proxy.exited;
    await until('the workers to be gone', () => (workers.some(isRunning) ? undefined : true));
  });
});

describe('workers of a control plane', () => {
  it('are nodes of their own under one token, and run what it says', async () => {
    const system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 0 });
    const route = mcpRoute({ name: 'member', url: member.url, keys, rules: ['true'] });
    await system.apply([gateway(), tenant(), ...route]);
    const env = { ...system.nodeSettings(), SIGNALBOX_PROXY_NODE_ID: 'edge' };
    const both = await startProxyProcess({ workers: 2, env });
    try {
      await proxyReady(both);
      const nodes = await until('both nodes', async () => {
        const connected = (await system.nodes()).filter((node) => node.connected);
        return connected.length === 2 ? connected : undefined;
      });
      expect(nodes.map(({ id }) => id).toSorted()).toEqual(['edge-w0', 'edge-w1']);
      const client = new RawMcpClient({ url: both.endpoint('acme', 'member'), token: 'alice-key' });
      expect((await client.initialize()).status).toBe(200);
    } finally {
      await both.stop();
      await system.stop();
    }
  });
});
