import { join } from 'node:path';
import { controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { proxySettings, startProxy } from '@signalbox/proxy';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { type Logger, readSettings, Secret } from '@signalbox/runtime';
import type { Cli } from '../cli.ts';
import { startEverythingServer, startRailwayServer } from '../bundled/demo-servers.ts';
import type { RunningProcess } from '../bundled/node-process.ts';
import { type AdminClient, adminClientFor } from '../client/admin-client.ts';
import { caOf } from '../client/target.ts';
import { type CliFile, writeCliFile } from '../client/cli-file.ts';
import { Failure } from '../failure.ts';
import { apiKeyHash, newApiKey } from '../input/api-key.ts';
import { startDatabase } from './database.ts';
import { applyDemo, type DemoOutcome } from './demo.ts';
import type { SecretFolder } from './first-run.ts';
import { nodeReady } from './node-ready.ts';
import type { Step } from './progress.ts';
import type { Resolved } from './resolve.ts';
import { Stack } from './stack.ts';

export interface UpContext {
  readonly cli: Cli;
  readonly resolved: Resolved;
  readonly secrets: SecretFolder;
  readonly logger: Logger;
}

/** What runs once everything runs. */
export interface Everything {
  readonly apiUrl: string;
  readonly proxyAdminUrl: string;
  /** Base URLs at which agents reach the gateway. */
  readonly gatewayUrls: readonly string[];
  readonly cliFile: CliFile;
  /** undefined without the demo. */
  readonly demo: DemoOutcome | undefined;
}

export interface StartingStack {
  readonly stack: Stack;
  readonly steps: readonly Step[];
  /** Rejects with the first failure. */
  readonly ready: Promise<Everything>;
  /** Resolves when a child ends that nobody told to. */
  readonly broken: Promise<Failure>;
}

/** Name of the one node, and of its token. */
const nodeName = 'local';

/** Starts every part of the plan, each as soon as what it needs runs. */
export function startEverything(context: UpContext): StartingStack {
  const { resolved, cli, logger } = context;
  const stack = new Stack(cli.clock, logger);
  const broken = Promise.withResolvers<Failure>();
  const steps: Step[] = [];
  const step = (title: string, done: Promise<string>) => {
    done.catch(() => undefined);
    steps.push({ title, done });
  };

  const database = addDatabase(context, stack, broken.resolve);
  if (!resolved.settings.databaseUrl)
    step(
      'Postgres',
      database.then(() => `in ${join(resolved.dataDir, 'postgres')}`),
    );
  const demoServers = resolved.demo ? addDemoServers(context, stack, broken.resolve) : undefined;
  const controlPlane = stack.add({
    name: 'control plane',
    start: async () => startControlPlanePart(context, await database),
    stop: async ({ running }) => void (await running.stop()),
  });
  step(
    'control plane',
    controlPlane.then(({ running }) => running.apiUrl),
  );
  const proxy = stack.add({
    name: 'proxy',
    start: async () => startProxyPart(context, await controlPlane),
    stop: async (running) => void (await running.stop()),
  });
  step(
    'proxy',
    proxy.then((running) => running.adminUrl),
  );
  if (demoServers)
    step(
      'demo MCP servers',
      demoServers.then(() => 'everything, railway'),
    );
  const demo = configure(context, controlPlane, proxy);
  step(resolved.demo ? 'demo configuration' : 'configuration', demo.then(describeDemo));

  const ready = (async (): Promise<Everything> => {
    const { running, cliFile } = await controlPlane;
    const node = await proxy;
    await demoServers;
    const outcome = await demo;
    const gatewayUrls = node
      .listeners()
      .map(({ host, port }) => `http://${host.includes(':') ? `[${host}]` : host}:${port}`);
    const complete = { ...cliFile, gatewayUrl: gatewayUrls[0] ?? cliFile.gatewayUrl };
    await writeCliFile(resolved.dataDir, complete);
    return { apiUrl: running.apiUrl, proxyAdminUrl: node.adminUrl, gatewayUrls, cliFile: complete, demo: outcome };
  })();
  return { stack, steps, ready, broken: broken.promise };
}

function addDatabase(context: UpContext, stack: Stack, report: (failure: Failure) => void): Promise<Secret> {
  const { resolved, cli, secrets } = context;
  if (resolved.settings.databaseUrl) return Promise.resolve(resolved.settings.databaseUrl);
  const embedded = stack.add({
    name: 'Postgres',
    start: () => startDatabase(cli, resolved.dataDir, secrets),
    stop: ({ postgres }, deadline) => postgres.stop(deadline),
  });
  return embedded.then(({ url, postgres }) => {
    void postgres.exited.then((log) => report(new Failure(`Postgres ended by itself. It said:\n${log.trim()}`)));
    return url;
  });
}

function addDemoServers(context: UpContext, stack: Stack, report: (failure: Failure) => void): Promise<void> {
  const { settings } = context.resolved;
  const searchPath = context.cli.environment['PATH'] ?? '';
  const add = (name: string, start: () => Promise<RunningProcess>) =>
    stack
      .add({ name, start, stop: (running, deadline) => running.stop(deadline) })
      .then(
        ({ exited }) =>
          void exited.then((log) => report(new Failure(`${name} ended by itself. It said:\n${log.trim()}`))),
      );
  return Promise.all([
    add('server-everything', () => startEverythingServer({ port: settings.everythingPort, searchPath })),
    add('railway', () => startRailwayServer({ port: settings.railwayPort, searchPath })),
  ]).then(() => undefined);
}

interface ControlPlanePart {
  readonly running: Awaited<ReturnType<typeof startControlPlane>>;
  readonly client: AdminClient;
  readonly cliFile: CliFile;
}

async function startControlPlanePart(context: UpContext, databaseUrl: Secret): Promise<ControlPlanePart> {
  const { resolved, secrets, logger, cli } = context;
  const environment = {
    SIGNALBOX_STATE: join(resolved.dataDir, 'control-plane'),
    ...resolved.environment,
    DATABASE_URL: databaseUrl.reveal(),
  };
  const settings = readSettings(controlPlaneSettings, environment);
  const running = await startControlPlane({ settings, logger: logger.child({ part: 'control-plane' }) });
  try {
    const token = await operatorToken(context, running.operatorToken);
    const key = resolved.demo ? await secrets.readOrMake('demo-key', () => newApiKey(cli.random)) : undefined;
    const cliFile: CliFile = {
      url: running.apiUrl,
      token,
      tenant: resolved.demo ? 'demo' : '',
      gatewayUrl: '',
      key,
      variables: key ? demoVariables(resolved, key) : {},
    };
    await writeCliFile(resolved.dataDir, cliFile);
    return {
      running,
      cliFile,
      client: adminClientFor({ url: cliFile.url, token, ca: await caOf(cli), file: cliFile }, cli.clock),
    };
  } catch (error) {
    await running.stop();
    throw error;
  }
}

/** What the demo's YAML refers to as `${env:NAME}`. */
function demoVariables({ settings }: Resolved, key: Secret): Readonly<Record<string, string>> {
  return {
    DEMO_KEY_SHA256: apiKeyHash(key),
    DEMO_EVERYTHING_URL: `http://127.0.0.1:${settings.everythingPort}/mcp`,
    DEMO_RAILWAY_URL: `http://127.0.0.1:${settings.railwayPort}/mcp`,
  };
}

/** The token of a fresh database is kept for good; with a database that has one, it is the one kept before. */
async function operatorToken({ secrets, cli, resolved }: UpContext, fresh: Secret | undefined): Promise<Secret> {
  if (fresh) {
    await secrets.write('operator-token', fresh);
    // The node's token was one of a database that is gone.
    await secrets.remove('node-token');
    return fresh;
  }
  const given = cli.environment['SIGNALBOX_TOKEN'];
  const kept = given ? new Secret(given) : await secrets.read('operator-token');
  if (kept) return kept;
  throw new Failure(
    `the database has an operator already, but ${join(resolved.dataDir, 'secrets', 'operator-token')} is missing: ` +
      'set SIGNALBOX_TOKEN to an operator token, or begin anew with an empty database',
  );
}

async function startProxyPart(context: UpContext, { running, client }: ControlPlanePart) {
  const { resolved, secrets, logger, cli } = context;
  const gateway = resolved.environment['SIGNALBOX_PROXY_GATEWAY'] || 'default';
  const token = await secrets.readOrMake('node-token', async () => {
    const created = await client.tokens.createToken({ name: nodeName, role: Role.NODE, gateway });
    return new Secret(created.secret);
  });
  const sessionKey = await secrets.readOrMake('session-key', () => new Secret(cli.random.bytes(32).toString('base64')));
  const defaults = {
    SIGNALBOX_PROXY_NODE_ID: nodeName,
    SIGNALBOX_PROXY_STATE: join(resolved.dataDir, 'proxy'),
    SIGNALBOX_SESSION_KEYS: sessionKey.reveal(),
    SIGNALBOX_PROXY_TOKEN: token.reveal(),
  };
  const settings = readSettings(proxySettings, {
    ...defaults,
    ...resolved.environment,
    SIGNALBOX_PROXY_DISCOVERY_ADDRESS: addressText(running.discoveryAddress),
  });
  return startProxy({ settings, logger: logger.child({ part: 'proxy' }) });
}

function addressText(address: string | { readonly host: string; readonly port: number }): string {
  if (typeof address === 'string') return address;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** The demo's resources, and the wait until the node runs what there is. */
async function configure(
  { cli, resolved }: UpContext,
  controlPlane: Promise<ControlPlanePart>,
  proxy: Promise<unknown>,
): Promise<DemoOutcome | undefined> {
  const { client, cliFile } = await controlPlane;
  const folder = join(cli.root, 'deploy', 'demo');
  const options = { folder, dataDir: resolved.dataDir, variables: cliFile.variables };
  const outcome = resolved.demo ? await applyDemo(cli, client, options) : undefined;
  await proxy;
  await nodeReady(cli, client, resolved.settings.startDeadlineMs);
  return outcome;
}

function describeDemo(outcome: DemoOutcome | undefined): string {
  if (!outcome) return 'applied by the proxy';
  const applied = outcome.applied.length > 0 ? `committed for ${outcome.applied.join(', ')}` : '';
  const kept = outcome.kept.length > 0 ? `yours is kept for ${outcome.kept.join(', ')}` : '';
  return [applied, kept].filter((part) => part !== '').join('; ') || 'as it was';
}
