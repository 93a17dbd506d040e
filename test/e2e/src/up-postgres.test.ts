import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';
import postgres from 'postgres';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const password = new Secret('only for this test');
let dataDir: string;
const servers: RunningPostgres[] = [];

async function start(port = 0): Promise<RunningPostgres> {
  const server = await startPostgres({ dataDir, port, durable: false, password });
  servers.push(server);
  return server;
}

async function query(server: RunningPostgres, statement: string, secret = password) {
  const sql = postgres(server.url, { password: secret.reveal(), max: 1, onnotice: () => undefined });
  try {
    return await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

beforeEach(async () => {
  dataDir = join(await mkdtemp(join(tmpdir(), 'signalbox-postgres-')), 'data');
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(AbortSignal.abort());
  await rm(join(dataDir, '..'), { recursive: true, force: true });
});

describe('startPostgres', () => {
  it('makes a cluster that asks everybody for the password, and leaves it in no file', async () => {
    const server = await start();
    expect(server.url).not.toContain(password.reveal());
    expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(query(server, 'select 1', new Secret('wrong'))).rejects.toThrow('password authentication failed');
    expect(existsSync(`${dataDir}.creating.password`)).toBe(false);
    expect(await readFile(join(dataDir, 'pg_hba.conf'), 'utf8')).not.toMatch(/^[^#]*\btrust\b/m);
  });

  it('keeps the data over a stop', async () => {
    const first = await start();
    await query(first, 'create table kept as select 7 as seven');
    await first.stop();
    expect(await query(await start(), 'select seven from kept')).toEqual([{ seven: 7 }]);
  });

  it('comes back after a crash that left its lock file', async () => {
    const first = await start();
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(true);
    expect(await query(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('begins anew where an earlier start was cut off while it made the cluster', async () => {
    await mkdir(`${dataDir}.creating`, { recursive: true });
    await writeFile(join(`${dataDir}.creating`, 'PG_VERSION'), '18\n');
    expect(await query(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('refuses a port that is taken, in words', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    const other = startPostgres({ dataDir: `${dataDir}-other`, port, durable: false });
    await expect(other).rejects.toThrow(`port ${port} on 127.0.0.1 is in use`);
  });

  it('refuses a data directory that is in use, in the words of Postgres', async () => {
    await start();
    await expect(start()).rejects.toThrow(/another Postgres still uses[^]*postmaster\.pid/);
  });
});
