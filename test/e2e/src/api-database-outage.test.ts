import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Code, ConnectError } from '@connectrpc/connect';
import { until } from '@signalbox/test-harness';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type ApiFixture, doc, refusalOf, startApi } from './api-fixture.ts';

let dataDir: string;
let postgres: RunningPostgres;
let api: ApiFixture;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'signalbox-test-outage-'));
  postgres = await startPostgres({ dataDir, port: 0, durable: true });
  api = await startApi(postgres.url);
  await api.tenants('acme');
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const backend = (name: string) => doc('Backend', 'acme', name, { mcp: { url: 'http://127.0.0.1:1/' } });
const status = async (path: string) => (await fetch(api.url + path)).status;

describe('while the database is down', () => {
  it('calls are answered "unavailable", and all works again when it is back', async () => {
    await api.operator.config.apply({ scope: 'acme', resources: [backend('before')] });
    const port = Number(new URL(postgres.url).port);
    await postgres.stop();

    expect(await refusalOf(api.operator.config.apply({ scope: 'acme', resources: [backend('lost')] }))).toMatchObject({
      code: 'Unavailable',
    });
    expect(await refusalOf(api.operator.config.listRevisions({ scope: 'acme' }))).toMatchObject({
      code: 'Unavailable',
    });
    expect(await status('/healthz')).toBe(200);
    expect(await status('/readyz')).toBe(200);

    postgres = await startPostgres({ dataDir, port, durable: true });
    await until('the database to be read', async () =>
      (await (await fetch(`${api.url}/readyz`)).text()) === 'ready\n' ? true : undefined,
    );
    // A connection that broke may be noticed with the first statement on it: the answer then says to try again.
    const { revision } = await until('a write to be taken', () =>
      api.operator.config
        .apply({ scope: 'acme', resources: [backend('after')] })
        .catch((error: unknown) =>
          ConnectError.from(error).code === Code.Unavailable ? undefined : Promise.reject(error as Error),
        ),
    );
    expect(revision).toBe(2n);
    const last = [];
    for await (const { propagation } of api.operator.config.watchPropagation({ scope: 'acme', revision }))
      last.push(propagation);
    expect(last.at(-1)).toMatchObject({ revision: 2n, done: true });
    const { resources } = await api.operator.config.list({ scope: 'acme' });
    expect(resources.map(({ document }) => document?.name)).toEqual(['after', 'before']);
  });
});
