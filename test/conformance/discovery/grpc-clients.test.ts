// Proxyless gRPC clients: `@grpc/grpc-js-xds` against a real control plane. It speaks the state of the world only.
import { Client, credentials, Metadata, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js';
import { register } from '@grpc/grpc-js-xds';
import { until } from '@signalbox/test-harness';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type ControlPlane, nodeStatus, startControlPlaneFor } from './control-plane.ts';

const path = '/test.Echo/WhoAreYou';
const same = (bytes: Buffer) => bytes;

/** A gRPC server that says its name. */
async function startBackend(name: string): Promise<{ readonly port: number; stop(): void }> {
  const server = new Server();
  const method = {
    ...{ path, requestStream: false, responseStream: false },
    ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
  };
  server.addService(
    { whoAreYou: method },
    {
      whoAreYou: (_call: unknown, answer: (error: null, value: Buffer) => void) => answer(null, Buffer.from(name)),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    const bound = (error: Error | null, chosen: number) => (error ? reject(error) : resolve(chosen));
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), bound);
  });
  return { port, stop: () => server.forceShutdown() };
}

let plane: ControlPlane;
let tenant: string;
let client: Client;
let other: Client;
let backends: Awaited<ReturnType<typeof startBackend>>[];

beforeAll(async () => {
  backends = [await startBackend('one'), await startBackend('two')];
  plane = await startControlPlaneFor(inject('pgUrl'));
  tenant = await plane.tenant();
  const { address, token } = await plane.subscriber({ tenants: [tenant], family: 'grpc' });
  // This client cannot send headers.
  const metadata = { 'signalbox-token': token };
  process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
    xds_servers: [{ server_uri: address, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
    node: { id: 'grpc-client', cluster: 'default', locality: { zone: 'here' }, metadata },
  });
  register();
  await plane.backendUrls(tenant, { other: urlOf(0) });
  await pointAt(0);
  client = channelTo('echo');
  other = channelTo('other');
});
afterAll(async () => {
  client.close();
  other.close();
  for (const backend of backends) backend.stop();
  await plane[Symbol.asyncDispose]();
});

/** Makes the service lead to a backend. */
function pointAt(index: 0 | 1): Promise<bigint> {
  return plane.backendUrls(tenant, { echo: urlOf(index) });
}

function urlOf(index: 0 | 1): string {
  return `http://127.0.0.1:${backends[index]?.port}/`;
}

function channelTo(service: string): Client {
  return new Client(`xds:///${service}.${tenant}`, credentials.createInsecure());
}

/** Who answers a call. @throws ServiceError */
function call(over: Client): Promise<string> {
  return new Promise((resolve, reject) => {
    const answered = (error: ServiceError | null, value?: Buffer) => (error ? reject(error) : resolve(String(value)));
    const options = { deadline: Date.now() + 30_000 };
    over.makeUnaryRequest(path, same, same, Buffer.alloc(0), new Metadata(), options, answered);
  });
}

it('A gRPC client finds a backend, follows it, and survives that it is deleted and comes back.', async () => {
  expect(await call(client)).toBe('one');
  await pointAt(1);
  await until('the other backend to answer', async () => ((await call(client)) === 'two' ? true : undefined));

  await plane.backends(tenant, { echo: null });
  const refused = await until('calls to fail', () =>
    call(client).then(
      () => undefined,
      (error: ServiceError) => error,
    ),
  );
  expect(refused.code).toBe(14);
  expect(await call(other)).toBe('one');

  // Release 1.14.1 takes a resource that comes back as it was for one that has not changed: its channel begins anew.
  client.close();
  client = channelTo('echo');
  await pointAt(0);
  await until('the backend to answer again', async () => ((await call(client)) === 'one' ? true : undefined));
  const { lastNack, scopes, userAgent } = await nodeStatus(plane.admin, 'grpc-client');
  expect(lastNack).toBeUndefined();
  expect(userAgent).toMatch(/gRPC/);
  expect(scopes.find(({ scope }) => scope === tenant)).toMatchObject({ appliedRevision: 5n });
});
