import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { relaySettings, type RunningRelay, startRelay } from '@signalbox/control-plane';
import { Role, TokenForm } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import {
  gateway,
  mcpRoute,
  startSystem,
  type System,
  type SystemNode,
  tenant,
  type TestAuthority,
  testAuthority,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const domain = 'test.example';
const uri = (node: string) => `spiffe://${domain}/gateway/default/node/${node}`;

describe('a relay over TLS', () => {
  let folder: string;
  let server: TestAuthority;
  let clients: TestAuthority;
  let joiners: TestAuthority;
  let system: System;
  let relay: RunningRelay;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-test-relay-identity-'));
    server = await testAuthority(join(folder, 'server'));
    clients = await testAuthority(join(folder, 'clients'));
    joiners = await testAuthority(join(folder, 'joiners'));
    const [plane, own, relayIdentity] = await Promise.all([
      server.write('plane'),
      server.write('relay'),
      clients.write('relay-1', { uri: uri('relay-1') }),
    ]);
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 0,
      ca: server.ca,
      controlPlane: {
        SIGNALBOX_TLS_CERT: plane.certFile,
        SIGNALBOX_TLS_KEY: plane.keyFile,
        SIGNALBOX_DISCOVERY_CLIENT_CA: clients.certFile,
        SIGNALBOX_NODE_CA_CERT: joiners.certFile,
        SIGNALBOX_NODE_CA_KEY: joiners.keyFile,
        SIGNALBOX_TRUST_DOMAIN: domain,
      },
      settings: { SIGNALBOX_PROXY_DISCOVERY_CA: server.certFile, SIGNALBOX_PROXY_TOKEN: '' },
    });
    const routes = ['acme', 'beta'].flatMap((name) => [
      tenant(name),
      ...mcpRoute({ name: 'a', tenant: name, url: 'http://127.0.0.1:1/mcp', anonymous: true }),
    ]);
    await system.apply([gateway(), ...routes], { wait: false });
    await row('relay-1', Role.RELAY);
    const trusted = join(folder, 'trusted.crt');
    await writeFile(trusted, Buffer.concat([clients.ca, joiners.ca]));
    relay = await startRelay({
      logger: new MemoryLogger(),
      settings: readSettings(relaySettings, {
        SIGNALBOX_RELAY_UPSTREAM: system.nodeSettings()['SIGNALBOX_PROXY_DISCOVERY_ADDRESS'],
        SIGNALBOX_RELAY_ID: 'relay-1',
        SIGNALBOX_RELAY_CA: server.certFile,
        SIGNALBOX_RELAY_CERT: relayIdentity.certFile,
        SIGNALBOX_RELAY_KEY: relayIdentity.keyFile,
        SIGNALBOX_RELAY_STATUS_LISTEN: '127.0.0.1:0',
        SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
        SIGNALBOX_TLS_CERT: own.certFile,
        SIGNALBOX_TLS_KEY: own.keyFile,
        SIGNALBOX_DISCOVERY_CLIENT_CA: trusted,
        SIGNALBOX_TRUST_DOMAIN: domain,
        SIGNALBOX_DISCOVERY_RECHECK: '100',
        SIGNALBOX_TOKEN_CACHE: '0',
      }),
    });
  });
  afterAll(async () => {
    await system.stop();
    await relay.stop(2_000);
    await rm(folder, { recursive: true, force: true });
  });

  const row = (node: string, role: Role = Role.NODE, tenants: string[] = []) =>
    system.admin.tokens.createToken({
      ...{ name: `row of ${node}`, role, gateway: 'default', form: TokenForm.CERTIFICATE, node, tenants },
    });
  const start = (id: string, settings: Record<string, string>) => {
    const { host, port } = relay.discoveryAddress;
    return system.startNode({ SIGNALBOX_PROXY_DISCOVERY_ADDRESS: `${host}:${port}`, ...settings }, id);
  };
  const withCertificate = async (id: string, of = clients) => {
    const { certFile, keyFile } = await of.write(id, { uri: uri(id) });
    return { SIGNALBOX_PROXY_DISCOVERY_CERT: certFile, SIGNALBOX_PROXY_DISCOVERY_KEY: keyFile };
  };
  const tenants = (node: SystemNode) => [...(node.proxy.table.value?.tenants.keys() ?? [])].sort();

  it('is let in by its certificate, and lets nodes in by theirs, for what their rows give them', async () => {
    await row('node-1', Role.NODE, ['acme']);
    const node = await start('node-1', await withCertificate('node-1'));
    await until('the tenant to be served', () => (tenants(node).length > 0 ? true : undefined));
    expect(tenants(node)).toEqual(['acme']);
  });

  it('ends the streams of a row that is revoked, and serves nobody whose certificate no row knows', async () => {
    const { token } = await row('node-2');
    const node = await start('node-2', await withCertificate('node-2'));
    await until('the tenants to be served', () => (tenants(node).length === 2 ? true : undefined));
    await system.admin.tokens.revokeToken({ id: token?.id ?? '' });
    const metric = async () => {
      const text = await (await fetch(`${relay.statusUrl}/metrics`)).text();
      return Number(/stream_ends_total\{status="unauthenticated"\} (\d+)/.exec(text)?.[1] ?? 0);
    };
    await until('the stream to be ended and refused', async () => ((await metric()) > 1 ? true : undefined));
    expect(tenants(node)).toEqual(['acme', 'beta']);
  });

  it('serves nodes that have joined at the control plane', async () => {
    const joinToken = await system.admin.tokens.createToken({
      ...{ name: 'joiner', role: Role.NODE, gateway: 'default', form: TokenForm.JOIN, tenants: ['beta'] },
    });
    const node = await start('node-3', {
      SIGNALBOX_PROXY_JOIN_TOKEN: joinToken.secret,
      SIGNALBOX_PROXY_JOIN_ADDRESS: system.nodeSettings()['SIGNALBOX_PROXY_DISCOVERY_ADDRESS'] ?? '',
    });
    await until('the tenant to be served', () => (tenants(node).length > 0 ? true : undefined));
    expect(tenants(node)).toEqual(['beta']);
  });
});
