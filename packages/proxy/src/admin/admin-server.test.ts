import { request } from 'node:http';
import { Metrics } from '@signalbox/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { AdminServer } from './admin-server.ts';
import type { Readiness } from './readiness.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(url: string, options: { readonly method?: string; readonly host?: string } = {}): Promise<Answer> {
  const { method = 'GET', host } = options;
  return new Promise((resolve, reject) => {
    const headers = host === undefined ? {} : { host };
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('error', reject).end();
  });
}

const servers: AdminServer[] = [];

async function started(readiness: () => Readiness = () => ({ ready: true, reasons: [] })): Promise<string> {
  const metrics = new Metrics();
  metrics.counter('signalbox_things_total', 'Things.').add(3);
  const configDump = () => ['{"a":', '1}'];
  const member = { tenant: 'acme', backend: 'search', condition: 'open', failures: 5, since: 0 } as const;
  const members = () => [member];
  const server = new AdminServer({ listen: { host: '127.0.0.1', port: 0 }, readiness, metrics, configDump, members });
  await server.start();
  servers.push(server);
  return server.url;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

describe('the admin server', () => {
  it('says that the process runs', async () => {
    expect(await ask(`${await started()}/healthz`)).toEqual({ status: 200, body: 'ok\n' });
  });

  it('says whether requests should be sent, and why not', async () => {
    let readiness: Readiness = { ready: false, reasons: ['no configuration has been received yet'] };
    const url = await started(() => readiness);
    const unready = await ask(`${url}/readyz`);
    expect([unready.status, JSON.parse(unready.body)]).toEqual([503, readiness]);
    readiness = { ready: true, reasons: [] };
    expect((await ask(`${url}/readyz`)).status).toBe(200);
  });

  it('exposes metrics as Prometheus reads them', async () => {
    const { status, body } = await ask(`${await started()}/metrics`);
    expect(status).toBe(200);
    expect(body).toContain('signalbox_things_total 3');
  });

  it('sends the dump piece by piece', async () => {
    expect(await ask(`${await started()}/config_dump?full`)).toEqual({ status: 200, body: '{"a":1}' });
  });

  it('says how members of virtual servers do', async () => {
    const { status, body } = await ask(`${await started()}/members`);
    const since = '1970-01-01T00:00:00.000Z';
    const member = { tenant: 'acme', backend: 'search', condition: 'open', failures: 5, since };
    expect([status, JSON.parse(body)]).toEqual([200, { members: [member] }]);
  });

  it('answers nothing else, and changes nothing', async () => {
    const url = await started();
    expect((await ask(`${url}/`)).status).toBe(404);
    expect((await ask(`${url}/healthz`, { method: 'POST' })).status).toBe(405);
  });

  it('refuses names that a web page could point at this machine', async () => {
    const url = await started();
    expect((await ask(`${url}/config_dump`, { host: 'rebound.example' })).status).toBe(403);
    expect((await ask(`${url}/config_dump`, { host: 'rebound.example:8090' })).status).toBe(403);
    expect((await ask(`${url}/healthz`, { host: 'localhost:8090' })).status).toBe(200);
    expect((await ask(`${url}/healthz`, { host: '[::1]:8090' })).status).toBe(200);
  });
});
