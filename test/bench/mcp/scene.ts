import { federatedRoute, gateway, type JwtIssuer, mcpRoute, tenant, yaml } from '@signalbox/test-harness';

import { envoyConfig } from '../src/envoy-config.ts';
import {
  hasCompiler,
  type Skipped,
  startEnvoyWith,
  startNginx,
  startProxy,
  startSdkGateway,
  startUpstream,
  type Target,
} from '../src/targets.ts';

/** Tools in the long list, beside those that are called. */
export const listedTools = 1_000;

/** A way to call a tool: a process, and an MCP endpoint of it. */
export interface Way {
  readonly name: string;
  readonly title: string;
  readonly era: 'legacy' | 'modern';
  readonly url: string;
  readonly pid: number;
  /** What stands in front of names of tools. */
  readonly prefix: string;
}

/** Everything that runs. */
export interface Scene {
  readonly legacyUpstream: string;
  readonly ways: readonly Way[];
  readonly skipped: readonly string[];
  stop(): Promise<void>;
}

/** Starts upstreams of both eras, one proxy in front of all of them, and what it is compared with. */
export async function startScene(issuer: JwtIssuer): Promise<Scene> {
  const skipped: string[] = [];
  const legacy = await startUpstream();
  const long = await startUpstream({ tools: hasCompiler ? listedTools : 0 });
  const modern = hasCompiler ? await startUpstream({ era: 'modern' }) : undefined;
  if (!modern) skipped.push('everything that needs a modern upstream or a long list: cc is not installed');
  const proxy = await startProxy(resources(issuer, { legacy: legacy.url, long: long.url, modern: modern?.url }));
  const others = [
    await startNginx(legacy.url),
    await startSdkGateway(legacy.url),
    await startEnvoyRouter(legacy, issuer),
  ];
  const running = [legacy, long, ...(modern ? [modern] : []), { process: proxy.process }];
  const ways = waysThrough(proxy, modern !== undefined);
  for (const other of others) {
    if ('skipped' in other) skipped.push(`${other.name}: ${other.skipped}`);
    else {
      running.push(other);
      const { name, title, url, process, prefix = '' } = other;
      ways.push({ name, title, era: 'legacy', url, pid: process.pid, prefix });
    }
  }
  return {
    legacyUpstream: legacy.url,
    ways,
    skipped,
    stop: async () => void (await Promise.all(running.map(({ process }) => process.stop()))),
  };
}

/** The routes of the proxy, by the eras of client and server. */
function waysThrough({ url, process: { pid } }: Pick<Target, 'url' | 'process'>, hasModern: boolean): Way[] {
  const way = (name: string, route: string, of: Pick<Way, 'era' | 'title'>, prefix = ''): Way => {
    return { name, ...of, url: url.replace('/bench/tools', `/bench/${route}`), pid, prefix };
  };
  const legacy = (title: string) => ({ era: 'legacy', title: `Signalbox, ${title}` }) as const;
  const modern = (title: string) => ({ era: 'modern', title: `Signalbox, ${title}` }) as const;
  return [
    way('legacy', 'legacy', legacy('legacy client, legacy server')),
    way('members', 'members', legacy('the same, of two members'), 'one__'),
    way('to-legacy', 'legacy', modern('modern client, legacy server')),
    ...(hasModern
      ? [
          way('modern', 'modern', modern('modern client, modern server')),
          way('to-modern', 'modern', legacy('legacy client, modern server')),
          way('list', 'long', legacy(`tools/list of ${listedTools} tools`)),
        ]
      : []),
  ];
}

/** A verified token and a rule about tools on every route. */
function resources(
  issuer: JwtIssuer,
  urls: Readonly<Record<'legacy' | 'long' | 'modern', string | undefined>>,
): string {
  const named = (prefix: string) => `tool.name in ["${prefix}small", "${prefix}medium", "${prefix}large"]`;
  const routes = Object.entries(urls).flatMap(([name, url]) => {
    const rules = [name === 'long' ? `tool.name.startsWith("tool_") || ${named('')}` : named('')];
    return url === undefined ? [] : mcpRoute({ tenant: 'bench', name, url, jwt: issuer, rules });
  });
  const backends = { one: urls.legacy as string, two: urls.legacy as string };
  const members = federatedRoute({ tenant: 'bench', name: 'members', backends, jwt: issuer, rules: [named('one__')] });
  return yaml([gateway(), tenant('bench'), ...routes, ...members]);
}

async function startEnvoyRouter(upstream: Target, issuer: JwtIssuer): Promise<Target | Skipped> {
  const members = ['one', 'two'];
  const started = await startEnvoyWith((ports) =>
    envoyConfig({ ...ports, upstream: new URL(upstream.url), issuer, members }),
  );
  if ('skipped' in started) return { name: 'envoy', ...started };
  return {
    name: 'envoy',
    title: 'Envoy 1.40 jwt_authn (cached) + mcp + rbac + mcp_router',
    prefix: 'one__',
    ...started,
  };
}
