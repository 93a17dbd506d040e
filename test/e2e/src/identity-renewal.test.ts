import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Role, TokenForm } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { gateway, startSystem, tenant, testAuthority, until } from '@signalbox/test-harness';
import { expect, inject, it } from 'vitest';

const lifetimeMs = 4_000;

it('a node renews its certificate, comes back with the new one when the old one ends, and not once it is revoked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-test-renewal-'));
  const [server, nodes] = [await testAuthority(join(folder, 's'), 'server'), await testAuthority(join(folder, 'n'))];
  const plane = await server.write('plane');
  const system = await startSystem({
    ...{ pgUrl: inject('pgUrl'), nodes: 0, ca: server.ca },
    controlPlane: {
      SIGNALBOX_TLS_CERT: plane.certFile,
      SIGNALBOX_TLS_KEY: plane.keyFile,
      SIGNALBOX_NODE_CA_CERT: nodes.certFile,
      SIGNALBOX_NODE_CA_KEY: nodes.keyFile,
      SIGNALBOX_NODE_CERTIFICATE_LIFETIME: String(lifetimeMs),
      SIGNALBOX_DISCOVERY_RECHECK: '100',
    },
    settings: { SIGNALBOX_PROXY_DISCOVERY_CA: server.certFile, SIGNALBOX_PROXY_TOKEN: '' },
  });
  try {
    await system.apply([gateway(), tenant()]);
    const token = { name: 'joiner', role: Role.NODE, gateway: 'default', form: TokenForm.JOIN };
    const { secret } = await system.admin.tokens.createToken(token);
    const node = await system.startNode({ SIGNALBOX_PROXY_JOIN_TOKEN: secret });
    const joinedMs = Date.now();
    const pem = () => readFile(join(node.stateFolder, 'identity', 'node.pem'), 'utf8');
    const first = await pem();
    const connected = async () => (await system.nodes())[0];

    await until('another certificate', async () => ((await pem()) === first ? undefined : true));
    const since = (await connected())?.connectedSince;
    await until('a stream with it', async () => {
      const status = await connected();
      return status?.connected && status.connectedSince?.seconds !== since?.seconds ? true : undefined;
    });
    expect(Date.now() - joinedMs).toBeGreaterThan(lifetimeMs / 2);

    const { tokens } = await system.admin.tokens.listTokens({});
    const row = tokens.find(({ form, node: name }) => form === TokenForm.CERTIFICATE && name === node.id);
    await system.admin.tokens.revokeToken({ id: row?.id ?? '' });
    await expect.poll(async () => (await connected())?.connected, { timeout: 5_000 }).toBe(false);
  } finally {
    await system.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
