import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { Role, TokenForm } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import {
  gateway,
  mcpRoute,
  startSystem,
  type System,
  tenant,
  type TestAuthority,
  testAuthority,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { refusalOf } from './api-fixture.ts';

let folder: string;
let server: TestAuthority;
let clients: TestAuthority;
let nodes: TestAuthority;
let system: System;
let names = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-test-identity-'));
  server = await testAuthority(join(folder, 'server'));
  clients = await testAuthority(join(folder, 'clients'));
  nodes = await testAuthority(join(folder, 'nodes'));
  const plane = await server.write('plane');
  system = await startSystem({
    pgUrl: inject('pgUrl'),
    nodes: 0,
    ca: server.ca,
    controlPlane: {
      SIGNALBOX_TLS_CERT: plane.certFile,
      SIGNALBOX_TLS_KEY: plane.keyFile,
      SIGNALBOX_DISCOVERY_CLIENT_CA: clients.certFile,
      SIGNALBOX_NODE_CA_CERT: nodes.certFile,
      SIGNALBOX_NODE_CA_KEY: nodes.keyFile,
      SIGNALBOX_TRUST_DOMAIN: 'test.example',
      SIGNALBOX_NODE_CERTIFICATE_LIFETIME: '3600000',
      SIGNALBOX_DISCOVERY_RECHECK: '100',
    },
    settings: { SIGNALBOX_PROXY_DISCOVERY_CA: server.certFile, SIGNALBOX_PROXY_TOKEN: '' },
  });
  await system.apply([
    gateway(),
    tenant('acme'),
    tenant('beta'),
    ...mcpRoute({ name: 'a', tenant: 'acme', url: 'http://127.0.0.1:1/mcp', anonymous: true }),
    ...mcpRoute({ name: 'b', tenant: 'beta', url: 'http://127.0.0.1:1/mcp', anonymous: true }),
  ]);
});
afterAll(async () => {
  await system.stop();
  await rm(folder, { recursive: true, force: true });
});

const newName = () => `node-x${(names += 1)}`;
const uri = (node: string, of = 'default') => `spiffe://test.example/gateway/${of}/node/${node}`;
const binding = (node: string, tenants: string[] = []) =>
  system.admin.tokens.createToken({
    ...{ name: `row of ${node}`, role: Role.NODE, gateway: 'default', form: TokenForm.CERTIFICATE, node, tenants },
  });
const joinToken = async (more: { node?: string; tenants?: string[]; ttlSeconds?: bigint } = {}) => {
  const token = { name: 'joiners', role: Role.NODE, gateway: 'default', form: TokenForm.JOIN, ...more };
  return (await system.admin.tokens.createToken(token)).secret;
};
/** Settings of a node that shows a certificate of another authority. */
const withCertificate = async (name: string, of: TestAuthority = clients, notAfterMs?: number) => {
  const { certFile, keyFile } = await of.write(name, { uri: uri(name), ...(notAfterMs ? { notAfterMs } : {}) });
  return { SIGNALBOX_PROXY_DISCOVERY_CERT: certFile, SIGNALBOX_PROXY_DISCOVERY_KEY: keyFile };
};
const status = async (id: string) => (await system.nodes()).find((node) => node.id === id);
const isConnected = (id: string) =>
  until(`${id} to be connected`, async () => ((await status(id))?.connected === true ? true : undefined));
const start = async (settings: Record<string, string>, id: string) => {
  const node = await system.startNode(settings, id);
  await isConnected(id);
  return node;
};
const counted = async (sample: string) => {
  const metrics = await new Promise<string>((resolve, reject) => {
    get(`${system.apiUrl}/metrics`, { ca: server.ca }, (response) => void text(response).then(resolve, reject)).on(
      'error',
      reject,
    );
  });
  const line = metrics.split('\n').find((each) => each.startsWith(sample));
  return Number(line?.split(' ').at(-1) ?? 0);
};
/** What becomes of a node that has to be turned away. */
const once = { times: 1, node: undefined };
const oneAttempt = { SIGNALBOX_PROXY_DISCOVERY_BACKOFF_MIN: '600000', SIGNALBOX_PROXY_DISCOVERY_BACKOFF_MAX: '600000' };
/** Starts a node that has to be turned away: one more is counted. */
const turnedAway = async (sample: string, settings: Record<string, string>, id: string) => {
  const before = await counted(sample);
  // Nothing will make it listen, it does not try again, and it is stopped with the system.
  system.startNode({ ...settings, ...oneAttempt }, id).catch(() => undefined);
  await until(`${id} to be turned away`, async () => ((await counted(sample)) > before ? true : undefined));
  return { times: (await counted(sample)) - before, node: await status(id) };
};
const streamEnd = (code: string) => `signalbox_discovery_stream_ends_total{status="${code}"}`;
const joining = (code: string) => `signalbox_join_requests_total{method="join",code="${code}"}`;
const scopes = async (id: string) => (await status(id))?.scopes.map(({ scope }) => scope).sort();

describe('a node with a certificate of a configured authority', () => {
  it('receives what the row of its name gives it, and nothing else', async () => {
    const id = newName();
    await binding(id, ['acme']);
    await start(await withCertificate(id), id);
    await expect.poll(() => scopes(id)).toEqual(['acme', 'operator']);
    expect((await status(id))?.identity).toBe(`row of ${id}`);
  });

  it('tells by it how it does', async () => {
    const id = newName();
    await binding(id, ['acme']);
    const before = await counted('signalbox_node_reports_total{code="OK"}');
    await start({ ...(await withCertificate(id)), SIGNALBOX_PROXY_REPORT_INTERVAL: '50' }, id);
    await expect.poll(() => counted('signalbox_node_reports_total{code="OK"}')).toBeGreaterThan(before);
  });

  it('gets nothing without a row, with another node’s certificate, or with one that nobody trusts', async () => {
    const [stranger, thief, forger] = [newName(), newName(), newName()];
    const honest = newName();
    for (const id of [honest, forger]) await binding(id);
    expect(await turnedAway(streamEnd('unauthenticated'), await withCertificate(stranger), stranger)).toEqual(once);
    await turnedAway(streamEnd('permissionDenied'), await withCertificate(honest), thief);
    const forged = await testAuthority(join(folder, 'forger'));
    expect(await turnedAway(streamEnd('unauthenticated'), await withCertificate(forger, forged), forger)).toEqual(once);
    const expired = newName();
    await binding(expired);
    expect(
      await turnedAway(
        streamEnd('unauthenticated'),
        await withCertificate(expired, clients, Date.now() - 1_000),
        expired,
      ),
    ).toEqual(once);
  });

  it('is cut off when its row is revoked, and when its certificate expires', async () => {
    const [revoked, expiring] = [newName(), newName()];
    const { token } = await binding(revoked);
    await binding(expiring);
    const cutOff = [
      await start(await withCertificate(revoked), revoked),
      await start(await withCertificate(expiring, clients, Date.now() + 4_000), expiring),
    ];
    await system.admin.tokens.revokeToken({ id: token?.id ?? '' });
    await expect.poll(async () => (await status(revoked))?.connected, { timeout: 5_000 }).toBe(false);
    await expect.poll(async () => (await status(expiring))?.connected, { timeout: 8_000 }).toBe(false);
    // They would try again, and be counted as others are that later tests turn away.
    await Promise.all(cutOff.map((node) => node.stop()));
  });

  it('has one row at a time', async () => {
    const id = newName();
    await binding(id);
    expect(await refusalOf(binding(id))).toMatchObject({ code: 'AlreadyExists' });
  });
});

describe('a node with a join token', () => {
  it('gets a certificate for its tenants once, keeps it over a restart, and its key to itself', async () => {
    const id = newName();
    const secret = await joinToken({ tenants: ['beta'] });
    const node = await start({ SIGNALBOX_PROXY_JOIN_TOKEN: secret }, id);
    await expect.poll(() => scopes(id)).toEqual(['beta', 'operator']);
    const pem = await readFile(join(node.stateFolder, 'identity', 'node.pem'), 'utf8');
    expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----[^]+-----BEGIN CERTIFICATE-----/);
    await node.stop();
    await expect.poll(async () => (await status(id))?.connected).toBe(false);
    await system.startNode({}, id, node.stateFolder);
    await isConnected(id);
    expect(await readFile(join(node.stateFolder, 'identity', 'node.pem'), 'utf8')).toBe(pem);

    expect(await turnedAway(joining('UNAUTHENTICATED'), { SIGNALBOX_PROXY_JOIN_TOKEN: secret }, newName())).toEqual(
      once,
    );
  });

  it('cannot take the name of another one, unless the token is for that name', async () => {
    const id = newName();
    const first = await start({ SIGNALBOX_PROXY_JOIN_TOKEN: await joinToken() }, id);
    await first.stop();
    await expect.poll(async () => (await status(id))?.connected).toBe(false);
    const refused = await counted(joining('ALREADY_EXISTS'));
    const fresh = await mkdtemp(join(folder, 'fresh-'));
    system.startNode({ SIGNALBOX_PROXY_JOIN_TOKEN: await joinToken() }, id, fresh).catch(() => undefined);
    await expect.poll(() => counted(joining('ALREADY_EXISTS'))).toBe(refused + 1);
    expect((await status(id))?.connected).toBe(false);
    const again = await mkdtemp(join(folder, 'again-'));
    await system.startNode({ SIGNALBOX_PROXY_JOIN_TOKEN: await joinToken({ node: id }) }, id, again);
    await isConnected(id);
    const bound = { SIGNALBOX_PROXY_JOIN_TOKEN: await joinToken({ node: id }) };
    expect(await turnedAway(joining('PERMISSION_DENIED'), bound, newName())).toEqual(once);
  });

  it('is refused when the token has expired or is one of another sort', async () => {
    const expired = await joinToken({ ttlSeconds: 1n });
    const { tokens } = await system.admin.tokens.listTokens({});
    const endsMs = Number(tokens.at(-1)?.expiresAt?.seconds ?? 0n) * 1_000 + 1_000;
    await until('the token to expire', () => (Date.now() > endsMs ? true : undefined));
    expect(await turnedAway(joining('UNAUTHENTICATED'), { SIGNALBOX_PROXY_JOIN_TOKEN: expired }, newName())).toEqual(
      once,
    );
    const bearer = await system.admin.tokens.createToken({ name: 'bearer', role: Role.NODE, gateway: 'default' });
    expect(
      await turnedAway(joining('UNAUTHENTICATED'), { SIGNALBOX_PROXY_JOIN_TOKEN: bearer.secret }, newName()),
    ).toEqual(once);
  });

  it('is no credential for anything else', async () => {
    expect(
      await turnedAway(streamEnd('unauthenticated'), { SIGNALBOX_PROXY_TOKEN: await joinToken() }, newName()),
    ).toEqual(once);
  });
});
