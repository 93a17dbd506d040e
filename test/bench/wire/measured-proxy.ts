import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  freePort,
  gateway,
  type JwtIssuer,
  legacyVersion,
  mcpRoute,
  RawMcpClient,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';

import { type Child, startChild } from '../src/child.ts';
import { gatewayCore, otherCore, programExists, repositoryRoot } from '../src/machine.ts';
import { proxyEnvironment } from '../src/proxy-config.ts';
import { temporaryFolder } from '../src/targets.ts';

export interface MeasuredProxy {
  readonly url: string;
  readonly adminUrl: string;
  readonly process: Child;
  /** Of a call in a session. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface MeasuredProxyOptions {
  readonly upstreamUrl: string;
  readonly issuer: JwtIssuer;
  readonly rules: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** So many workers on both cores; absent: one process on the core of gateways. */
  readonly workers?: number;
}

/** Our proxy from a file, with a session that is open. */
export async function startMeasuredProxy(options: MeasuredProxyOptions): Promise<MeasuredProxy> {
  const { upstreamUrl, issuer, rules, env = {}, workers } = options;
  const folder = temporaryFolder();
  const file = join(folder, 'signalbox.yaml');
  const [port, adminPort] = [await freePort(), await freePort()];
  const route = mcpRoute({ tenant: 'bench', name: 'tools', url: upstreamUrl, jwt: issuer, rules: [...rules] });
  writeFileSync(file, yaml([gateway(), tenant('bench'), ...route]));
  const entry = (path: string) => join(repositoryRoot, 'packages', path);
  const command =
    workers === undefined
      ? [process.execPath, entry('proxy/src/main.ts'), '--config', file]
      : [
          ...(programExists('taskset') ? ['taskset', '-c', `${gatewayCore},${otherCore}`] : []),
          ...[
            process.execPath,
            entry('signalbox/src/main.ts'),
            'proxy',
            '--workers',
            String(workers),
            '--config',
            file,
          ],
        ];
  const child = startChild(gatewayCore, command, { ...proxyEnvironment(folder, port, adminPort), ...env });
  await until('the proxy to be ready', async () => {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined);
    return response?.ok === true ? true : undefined;
  });
  const url = `http://127.0.0.1:${port}/bench/tools/mcp`;
  const token = await issuer.token('bench', { expiresInSeconds: 3_600 });
  const client = new RawMcpClient({ url, token });
  await client.initialize();
  const session = client.session ?? '';
  client.close();
  const headers = {
    authorization: `Bearer ${token}`,
    'mcp-session-id': session,
    'mcp-protocol-version': legacyVersion,
  };
  return { url, adminUrl: `http://127.0.0.1:${adminPort}`, process: child, headers };
}
