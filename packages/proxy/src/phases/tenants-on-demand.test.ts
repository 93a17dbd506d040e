import { describe, expect, it } from 'vitest';
import { RequestPath, type RequestPathOptions, tableOf } from '../testing/request-path.ts';

const limits = { tenants: 2, waiting: 2, waitMs: 1_000, idleMs: 60_000, retryMs: 5_000 };
const headers = { authorization: 'Bearer alice-key' };
const initialize = {
  ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

function nodeWithoutTenants(): RequestPath {
  return new RequestPath({ demand: limits, withoutTenant: true });
}

/** The tenant's set arrives. */
async function arrive(path: RequestPath): Promise<void> {
  path.tables.swap(tableOf({ revision: 2 }));
  path.demand?.arrived('acme');
  await path.settled();
}

describe('a request whose tenant is not here', () => {
  it('waits for it, and goes on under the table that has it', async () => {
    const path = nodeWithoutTenants();
    const exchange = await path.post(initialize, headers);
    expect([exchange.status, path.upstream.calls.length]).toEqual([0, 0]);
    await arrive(path);
    path.upstream.last.result({ protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} });
    await path.settled();
    expect([exchange.status, path.events]).toMatchObject([200, [{ tenant: 'acme', route: 'assistant', revision: 2 }]]);
  });

  it.each([
    ['absent', 404, 'tenant_absent'],
    ['refused', 503, 'tenant_refused'],
  ] as const)('is answered when that is %s, with an event that says so', async (why, status, error) => {
    const path = nodeWithoutTenants();
    const exchange = await path.post(initialize, headers);
    path.demand?.failed('acme', why);
    await path.settled();
    expect([exchange.status, path.events]).toMatchObject([status, [{ tenant: 'acme', error }]]);
  });

  it('is answered 503 when it does not come in time, and the next one at once', async () => {
    const path = nodeWithoutTenants();
    const first = await path.post(initialize, headers);
    await path.clock.advance(limits.waitMs);
    const second = await path.post(initialize, headers);
    expect([first.status, second.status, path.events.map(({ error }) => error)]).toEqual([
      503,
      503,
      ['tenant_late', 'tenant_late'],
    ]);
    expect(first.headers['retry-after']).toBe('1');
  });

  it('is answered 503 when too many wait', async () => {
    const path = nodeWithoutTenants();
    for (let i = 0; i < limits.waiting; i += 1) await path.post(initialize, headers);
    const exchange = await path.post(initialize, headers);
    expect([exchange.status, path.events[0]?.error]).toEqual([503, 'tenants_busy']);
  });

  it('ends in one event when its client leaves while it waits', async () => {
    const path = nodeWithoutTenants();
    const exchange = await path.post(initialize, headers);
    exchange.leave();
    await arrive(path);
    expect(path.events.map(({ error }) => error)).toEqual(['client_gone']);
    expect(path.upstream.calls).toEqual([]);
  });

  it('does not wait below a path that no tenant owns', async () => {
    const path = nodeWithoutTenants();
    const exchange = path.send({ path: '/nobody/here/mcp', headers });
    await path.settled();
    expect([exchange.status, path.events[0]?.error]).toEqual([404, 'unknown_path']);
    expect([...(path.demand?.wanted() ?? [])]).toEqual([]);
  });
});

/** An HTTP route at `/acme/orders`, where everything is allowed. */
const orders: RequestPathOptions = {
  allow: ['true'],
  more: [
    ['Backend', 'orders', { http: { url: 'http://127.0.0.1:4000' } }],
    ['Route', 'orders', { gateway: 'default', match: { path: '/acme/orders' }, http: { backend: 'orders' } }],
  ],
};

describe('a tenant that was loaded', () => {
  it('is in use while a request of any other kind of route runs', async () => {
    const path = new RequestPath({ demand: limits, withoutTenant: true, ...orders });
    const exchange = path.send({ method: 'GET', path: '/acme/orders/1', headers });
    await path.settled();
    path.tables.swap(tableOf({ ...orders, revision: 2 }));
    path.demand?.arrived('acme');
    await path.settled();
    expect(path.upstream.last.request.target).toBe('/1');
    await path.clock.advance(3 * limits.idleMs);
    expect(path.demand?.wants('acme')).toBe(true);
    path.upstream.last.answer('{}');
    expect(exchange.status).toBe(200);
    await path.clock.advance(2 * limits.idleMs);
    expect(path.demand?.wants('acme')).toBe(false);
  });

  it('is in use while a stream of it is open, and idle after that', async () => {
    const path = new RequestPath({ demand: limits });
    path.demand?.restored(['acme']);
    const session = await path.initialize();
    const stream = path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    await path.settled();
    path.upstream.last.openEvents();
    await path.clock.advance(3 * limits.idleMs);
    expect(path.demand?.wants('acme')).toBe(true);
    stream.leave();
    await path.clock.advance(2 * limits.idleMs);
    expect(path.demand?.wants('acme')).toBe(false);
  });
});
