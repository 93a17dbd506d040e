import { resolve, join } from 'node:path';
import { controlPlaneSettings } from '@signalbox/control-plane';
import { proxySettings } from '@signalbox/proxy';
import { type HostPort, readSettings, type Settings } from '@signalbox/runtime';
import type { Cli } from '../cli.ts';
import { type Plan, planStack } from './plan.ts';
import { upSettings } from './settings.ts';

export interface UpOptions {
  /** Port where agents connect, in place of those of the Gateway. */
  readonly port: number | undefined;
  readonly dataDir: string | undefined;
  readonly demo: boolean;
}

/** Everything that is decided before anything starts. */
export interface Resolved {
  readonly settings: Settings<typeof upSettings>;
  readonly plan: Plan;
  readonly dataDir: string;
  readonly demo: boolean;
  readonly api: HostPort;
  readonly gateway: HostPort;
  readonly proxyAdmin: HostPort;
  /** The environment of the parts, without what only `up` knows. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * A stop on one machine need not wait for load balancers to notice; and the log, which nobody watches, is kept at a level
 * that matters. The environment overrides both.
 */
const localDefaults = {
  SIGNALBOX_PROXY_DRAIN_ACCEPT: '0',
  SIGNALBOX_PROXY_DRAIN_SPREAD: '200',
  SIGNALBOX_PROXY_DRAIN_DEADLINE: '3000',
  SIGNALBOX_DRAIN_DEADLINE: '3000',
};

/** The demo's Gateway listens there, see deploy/demo. */
const demoGatewayPort = 8080;

/** @throws SettingsError and Failure for what cannot be used. */
export function resolveUp(cli: Cli, options: UpOptions): Resolved {
  const settings = readSettings(upSettings, cli.environment);
  const environment = { ...localDefaults, ...withPort(cli.environment, options.port) };
  const loopback = (address: HostPort | undefined, port: number) => address ?? { host: '127.0.0.1', port };
  const controlPlane = readSettings(
    { api: controlPlaneSettings.apiListen, discovery: controlPlaneSettings.discoveryListen },
    environment,
  );
  const proxy = readSettings({ admin: proxySettings.adminListen, listen: proxySettings.listen }, environment);
  const input = {
    demo: options.demo,
    externalDatabase: settings.databaseUrl !== undefined,
    api: loopback(controlPlane.api, 7070),
    discovery: loopback(controlPlane.discovery, 7071),
    proxyAdmin: loopback(proxy.admin, 8090),
    gateway: loopback(proxy.listen, demoGatewayPort),
    everythingPort: settings.everythingPort,
    railwayPort: settings.railwayPort,
  };
  const folder = options.dataDir ?? (settings.dataDir || join(cli.root, '.signalbox'));
  return {
    settings,
    plan: planStack(input),
    dataDir: resolve(cli.cwd, folder),
    demo: options.demo,
    api: input.api,
    gateway: input.gateway,
    proxyAdmin: input.proxyAdmin,
    environment,
  };
}

function withPort(environment: Cli['environment'], port: number | undefined): Cli['environment'] {
  return port === undefined ? environment : { ...environment, SIGNALBOX_PROXY_LISTEN: `127.0.0.1:${port}` };
}
