import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Metrics } from '@signalbox/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { type AskedWorker, SupervisorAdmin } from './supervisor-admin.ts';

const stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A worker that says these things on its admin port. */
async function worker(index: number, says: Readonly<Record<string, unknown>>): Promise<AskedWorker> {
  const server = createServer((request, response) => {
    const said = says[request.url ?? ''];
    response.end(typeof said === 'string' ? said : JSON.stringify(said));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  stops.push(() => new Promise((resolve) => void server.close(resolve)));
  return { index, adminUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function admin(serving: readonly AskedWorker[], stopping = false): Promise<string> {
  const made = new SupervisorAdmin({
    ...{ listen: { host: '127.0.0.1', port: 0 }, count: 2, askMs: 5_000, metrics: new Metrics() },
    ...{ serving: () => serving, stopping: () => stopping },
  });
  await made.start();
  stops.push(() => made.stop());
  return made.url;
}

const isReady = { ready: true, reasons: [] };
/** Nobody listens there. */
const silent: AskedWorker = { index: 1, adminUrl: 'http://127.0.0.1:1' };

describe('the admin endpoints of several workers', () => {
  it('are ready when all workers are, and say which is not and why', async () => {
    const [first, second] = [
      await worker(0, { '/readyz': isReady }),
      await worker(1, { '/readyz': { ready: false, reasons: ['no listener is open'] } }),
    ];
    const url = await admin([first, second]);
    const answer = await fetch(`${url}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { ready: false, reasons: ['worker 1: no listener is open'] },
    ]);
    expect((await fetch(`${await admin([first, { ...first, index: 1 }])}/readyz`)).status).toBe(200);
  });

  it('are not ready while a worker is missing, says nothing, or all are to stop', async () => {
    const first = await worker(0, { '/readyz': isReady });
    const reasons = async (url: string) => (await (await fetch(`${url}/readyz`)).json()) as { reasons: string[] };
    expect((await reasons(await admin([first]))).reasons).toEqual(['1 of 2 workers do not run']);
    expect((await reasons(await admin([first, silent]))).reasons).toEqual(['worker 1: it does not answer']);
    const all = [first, { ...first, index: 1 }];
    expect((await reasons(await admin(all, true))).reasons).toEqual(['the node is stopping']);
  });

  it('give what each says by itself, or one alone by its number', async () => {
    const url = await admin([await worker(0, { '/members': { of: 0 } }), await worker(1, { '/members': { of: 1 } })]);
    expect(await (await fetch(`${url}/members`)).json()).toEqual({ workers: [{ of: 0 }, { of: 1 }] });
    expect(await (await fetch(`${url}/members?worker=1`)).json()).toEqual({ of: 1 });
    expect((await fetch(`${url}/members?worker=7`)).status).toBe(404);
  });

  it('give the metrics of those that answer, and say when what is asked for cannot be had', async () => {
    const url = await admin([await worker(0, { '/metrics': '# TYPE a counter\na 1\n' }), silent]);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('a{worker="0"} 1');
    expect((await fetch(`${url}/config_dump`)).status).toBe(502);
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/readyz`, { method: 'POST' })).status).toBe(405);
  });
});
