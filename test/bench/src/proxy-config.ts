import { join } from 'node:path';

import { federatedRoute, gateway, type JwtIssuer, mcpRoute, tenant, yaml } from '@signalbox/test-harness';

/** What the proxy of the benchmark serves: one route with a verified token and a rule about tools. */
export function proxyResources(upstreamUrl: string, issuer: JwtIssuer): string {
  const rules = ['tool.name in ["small", "medium", "large"]'];
  return yaml([
    gateway(),
    tenant('bench'),
    ...mcpRoute({ tenant: 'bench', name: 'tools', url: upstreamUrl, jwt: issuer, rules }),
  ]);
}

/** The same to a virtual server of two members, both of them the upstream. */
export function federationResources(upstreamUrl: string, issuer: JwtIssuer): string {
  const rules = ['tool.name in ["one__small", "one__medium", "one__large"]'];
  const backends = { one: upstreamUrl, two: upstreamUrl };
  return yaml([
    gateway(),
    tenant('bench'),
    ...federatedRoute({ tenant: 'bench', name: 'tools', backends, jwt: issuer, rules }),
  ]);
}

/** Settings of a proxy that is alone on its ports and writes its outcome events to a file. */
export function proxyEnvironment(folder: string, port: number, adminPort: number): Record<string, string> {
  return {
    SIGNALBOX_LOG_LEVEL: 'warn',
    SIGNALBOX_PROXY_LISTEN: `127.0.0.1:${port}`,
    SIGNALBOX_PROXY_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    SIGNALBOX_PROXY_STATE: join(folder, 'state'),
  };
}
