import type { Cli } from '../cli.ts';
import { usage } from '../failure.ts';
import { scopeNamed } from '../input/scope.ts';
import { operatorScope } from '@signalbox/config/kind';
import type { AdminClient } from './admin-client.ts';

/**
 * URL of a route's MCP endpoint: its path below the gateway's address, which is `SIGNALBOX_GATEWAY_URL`, what `up` wrote, or
 * the first listener of the route's Gateway on the control plane's host.
 */
export async function routeEndpoint(cli: Cli, client: AdminClient, route: string): Promise<string> {
  const [name = '', tenant] = route.split('/').toReversed();
  const scope = scopeNamed(client.target, tenant);
  const { resource } = await client.config.get({ scope, kind: 'Route', name });
  const spec = resource?.document?.spec as { gateway?: string; match?: { path?: string }; mcp?: object } | undefined;
  const path = spec?.match?.path;
  if (path === undefined) throw usage(`route ${scope}/${name} has no path`);
  if (spec?.mcp === undefined) throw usage(`route ${scope}/${name} does not lead to MCP, so it has no tools`);
  const base = cli.environment['SIGNALBOX_GATEWAY_URL'] || client.target.file?.gatewayUrl;
  return `${(base || (await listenerUrl(client, spec?.gateway ?? ''))).replace(/\/+$/, '')}${path}/mcp`;
}

async function listenerUrl(client: AdminClient, gateway: string): Promise<string> {
  const { resource } = await client.config.get({ scope: operatorScope, kind: 'Gateway', name: gateway });
  const spec = resource?.document?.spec as { listeners?: { port?: number }[] } | undefined;
  const port = spec?.listeners?.[0]?.port;
  if (port === undefined)
    throw usage(`gateway ${gateway} has no listener: name its address with SIGNALBOX_GATEWAY_URL`);
  return `http://${new URL(client.target.url).hostname}:${port}`;
}
