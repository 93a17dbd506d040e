import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { until } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runShell as shell } from './cli-process.ts';
import { ownPorts, processTree, stillRunning, UpProcess, type UpSummary, WaitingProcess } from './up-process.ts';

let dataDir: string;
let ports: Readonly<Record<string, string>>;
let up: UpProcess;
let summary: UpSummary;
const started: UpProcess[] = [];

function start(environment: Readonly<Record<string, string>> = {}): UpProcess {
  const process = new UpProcess(dataDir, { ...ports, ...environment });
  started.push(process);
  return process;
}

function cli(command: string) {
  return shell(`./signalbox ${command}`, { environment: { SIGNALBOX_DATA_DIR: dataDir } });
}

beforeAll(async () => {
  dataDir = join(await mkdtemp(join(tmpdir(), 'signalbox-up-')), '.signalbox');
  ports = await ownPorts();
  up = start();
  summary = await up.ready();
});

afterAll(async () => {
  for (const process of started) process.kill('SIGKILL');
  await Promise.all(started.map(({ finished }) => finished));
  await rm(join(dataDir, '..'), { recursive: true, force: true });
});

// The tests follow one installation through its life, in order.
describe('signalbox up', () => {
  it('prints three commands that work as they stand', async () => {
    expect(summary.commands).toHaveLength(3);
    const [tools, explain, nodes] = await Promise.all(summary.commands.map((command) => shell(command)));
    expect(tools).toMatchObject({ status: 0, out: expect.stringContaining('list_departures') });
    expect(tools?.out).not.toContain('cancel_train');
    expect(explain).toMatchObject({ status: 0, out: expect.stringContaining('DENIED') });
    expect(nodes).toMatchObject({ status: 0, out: expect.stringMatching(/local .*default/) });
  });

  it('prints a client configuration with which a client of either era lists and calls tools', async () => {
    const { railway, everything } = summary.mcpClient.mcpServers;
    const call = async (server: typeof railway, tool: { name: string; arguments: Record<string, unknown> }) => {
      const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
      const requestInit = { headers: { ...server?.headers } };
      await client.connect(new StreamableHTTPClientTransport(new URL(server?.url ?? ''), { requestInit }));
      const names = (await client.listTools()).tools.map(({ name }) => name);
      const result = await client.callTool(tool);
      const version = client.getNegotiatedProtocolVersion();
      await client.close();
      return { version, names, result };
    };
    const modern = await call(railway, { name: 'list_departures', arguments: { station: 'Harbour' } });
    expect(modern.version).toBe('2026-07-28');
    expect(modern.names).toContain('set_signal');
    expect(modern.result.structuredContent).toMatchObject({ station: 'Harbour' });
    // That server speaks the legacy era alone: the gateway translates.
    const translated = await call(everything, { name: 'echo', arguments: { message: 'hello' } });
    expect(translated.version).toBe('2026-07-28');
    expect(translated.names).not.toContain('get-env');
    expect(JSON.stringify(translated.result.content)).toContain('hello');
  });

  it('shows a tool to nobody who has no key', async () => {
    const answer = await cli('tools --route demo/railway --anonymous');
    expect(answer).toMatchObject({ status: 1, err: expect.stringContaining('--token') });
  });

  it('keeps its credentials from others', async () => {
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    const names = ['postgres-password', 'operator-token', 'node-token', 'session-key', 'demo-key'];
    const paths = ['cli.json', ...names.map((name) => join('secrets', name))];
    const modes = await Promise.all(paths.map(async (path) => (await stat(join(dataDir, path))).mode & 0o777));
    expect(new Set(modes)).toEqual(new Set([0o600]));
    const log = await readFile(join(dataDir, 'up.log'), 'utf8');
    const secrets = await Promise.all(names.map((name) => readFile(join(dataDir, 'secrets', name), 'utf8')));
    expect(secrets.filter((secret) => log.includes(secret.trim()))).toEqual([]);
  });

  it('refuses a second one on the same folder', async () => {
    const second = await start().finished;
    expect(second).toMatchObject({ status: 1, err: expect.stringContaining(`process ${up.pid}`) });
  });

  it('refuses a port that is taken, and names the setting', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const other = new UpProcess(`${dataDir}-other`, {
      ...(await ownPorts()),
      SIGNALBOX_DEMO_RAILWAY_PORT: String(port),
    });
    started.push(other);
    expect(await other.finished).toMatchObject({
      status: 1,
      err: expect.stringContaining('SIGNALBOX_DEMO_RAILWAY_PORT'),
    });
    taken.close();
  });

  it('leaves no process behind when it is killed', async () => {
    const file = join(dataDir, 'stop-trains.yaml');
    const policy = await cli('get policy railway -o yaml');
    await writeFile(file, policy.out.replace('follow_train', 'unfollow_train'));
    expect(await cli(`apply -f ${file} -m "mine"`)).toMatchObject({
      status: 0,
      out: expect.stringContaining('applied'),
    });

    const pids = processTree(up.pid);
    expect(pids.length).toBeGreaterThanOrEqual(4);
    up.kill('SIGKILL');
    await up.finished;
    await until('all of them to end', () => (stillRunning(pids).length === 0 ? true : undefined));
  });

  it('comes back with the data, and leaves alone what people changed', async () => {
    up = start();
    summary = await up.ready();
    expect(summary.kept).toEqual(['demo']);
    expect(await cli('revisions')).toMatchObject({ status: 0, out: expect.stringContaining('mine') });
    expect((await cli('get policy railway -o yaml')).out).toContain('unfollow_train');
    expect(await shell(summary.commands[0] ?? '')).toMatchObject({
      status: 0,
      out: expect.stringContaining('list_departures'),
    });
  });

  it('stops everything on Ctrl-C', async () => {
    const pids = processTree(up.pid);
    up.kill('SIGINT');
    expect(await up.finished).toMatchObject({ status: 0 });
    expect(stillRunning(pids)).toEqual([]);
  });

  it('stops everything when the process that started it is gone', async () => {
    const starter = new WaitingProcess();
    up = start({ SIGNALBOX_UP_STARTED_BY: String(starter.pid) });
    await up.ready();
    const pids = processTree(up.pid);
    await starter.kill();
    expect(await up.finished).toMatchObject({ status: 0 });
    expect(stillRunning(pids)).toEqual([]);
  });
});
