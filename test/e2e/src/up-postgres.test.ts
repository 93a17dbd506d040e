import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';
import postgres from 'postgres';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const password = new Secret('only for this test');
let folder: string;
const servers: RunningPostgres[] = [];

/** A cluster by its name; one that another test has made is taken as it is. */
async function start(name = 'data'): Promise<RunningPostgres> {
  const server = await startPostgres({ dataDir: join(folder, name), port: 0, durable: false, password });
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

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-postgres-'));
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(AbortSignal.abort());
});

afterAll(() => rm(folder, { recursive: true, force: true }));

// To make a cluster takes longer than everything else: two are made, the tests after those go on with them.
describe('startPostgres', () => {
  it('makes a cluster that asks everybody for the password, and leaves it in no file', async () => {
    const server = await start();
    expect(server.url).not.toContain(password.reveal());
    expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(query(server, 'select 1', new Secret('wrong'))).rejects.toThrow('password authentication failed');
    expect(existsSync(join(folder, 'data.creating.password'))).toBe(false);
    expect(await readFile(join(folder, 'data', 'pg_hba.conf'), 'utf8')).not.toMatch(/^[^#]*\btrust\b/m);
  });

  it('begins anew where an earlier start was cut off while it made the cluster', async () => {
    const building = join(folder, 'other.creating');
    await mkdir(building, { recursive: true });
    await writeFile(join(building, 'PG_VERSION'), '18\n');
    expect(await query(await start('other'), 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(existsSync(building)).toBe(false);
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
    expect(existsSync(join(folder, 'data', 'postmaster.pid'))).toBe(true);
    expect(await query(await start(), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('refuses a port that is taken, in words', async () => {
    const first = await start();
    const port = Number(new URL(first.url).port);
    const other = startPostgres({ dataDir: join(folder, 'other'), port, durable: false });
    await expect(other).rejects.toThrow(`port ${port} on 127.0.0.1 is in use`);
  });

  it('refuses a data directory that is in use, in the words of Postgres', async () => {
    await start();
    await expect(start()).rejects.toThrow(/another Postgres still uses[^]*postmaster\.pid/);
  });
});
