import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { gateway, mcpRoute, startFileNode, tenant, yaml } from '@signalbox/test-harness';

import type { Fixture } from './fixture/fixture.ts';
import { startLegacyServer } from './fixture/legacy-server.ts';
import { startModernServer } from './fixture/modern-server.ts';

export type ServerEra = 'legacy' | 'modern';

/** A proxy in front of both fixture servers, as an operator would configure it: a route each, everything allowed. */
export interface GatewayBetween {
  /** The server's own endpoint. */
  direct(era: ServerEra): string;
  /** The gateway's endpoint for it, by the name `localhost`: the suite's check of DNS rebinding wants that name. */
  through(era: ServerEra): string;
  stop(): Promise<void>;
}

export async function startGatewayBetween(): Promise<GatewayBetween> {
  const servers: Readonly<Record<ServerEra, Fixture>> = {
    legacy: await startLegacyServer(),
    modern: await startModernServer(),
  };
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-conformance-'));
  const config = join(folder, 'signalbox.yaml');
  const routes = Object.entries(servers).flatMap(([name, { url }]) =>
    mcpRoute({ name, url, anonymous: true, rules: ['true'] }),
  );
  await writeFile(config, yaml([gateway(), tenant(), ...routes]));
  const proxy = await startFileNode(config);
  return {
    direct: (era) => servers[era].url,
    through: (era) => proxy.endpoint('acme', era).replace('127.0.0.1', 'localhost'),
    stop: async () => {
      await proxy.stop();
      await Promise.all(Object.values(servers).map((server) => server.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
