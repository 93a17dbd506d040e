import { parseArgs } from 'node:util';
import { jsonLogger, type Logger, SettingsError } from '@signalbox/runtime';
import { type RunningProxy, startProxy } from './compose.ts';
import { ConfigFileError } from './discovery/config-source.ts';
import { readProxySettings } from './settings.ts';

const usage = `usage: proxy [--config FILE|FOLDER]

Serves what the control plane says (SIGNALBOX_PROXY_DISCOVERY_ADDRESS, SIGNALBOX_PROXY_TOKEN), or, with --config, the
resources in files. Settings are SIGNALBOX_* variables, and REDIS_URL for what several nodes share.
`;

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help) return void process.stdout.write(usage);
  const environment =
    values.config === undefined ? process.env : { ...process.env, SIGNALBOX_PROXY_CONFIG: values.config };
  try {
    const settings = readProxySettings(environment);
    if (settings.workers !== undefined) {
      throw new SettingsError(['SIGNALBOX_PROXY_WORKERS: workers are started by "signalbox proxy"']);
    }
    const logger = jsonLogger(settings.logLevel);
    endWell(await startProxy({ settings, environment: process.env, logger }), logger);
  } catch (error) {
    const expected = error instanceof SettingsError || error instanceof ConfigFileError;
    process.stderr.write(`${expected ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

/**
 * SIGTERM drains; so does SIGINT, without waiting for load balancers; a second signal ends the process at once. An error
 * that nothing caught leaves the process in an unknown state: it is logged, and the process drains and fails.
 */
function endWell(proxy: RunningProxy, logger: Logger): void {
  let stopping = false;
  const stop = (failed: boolean, acceptMs?: number) => {
    if (stopping) process.exit(1);
    stopping = true;
    void proxy.stop(undefined, acceptMs).then((inTime) => process.exit(inTime && !failed ? 0 : 1));
  };
  process.on('SIGTERM', () => stop(false));
  process.on('SIGINT', () => stop(false, 0));
  process.on('uncaughtException', (error) => {
    logger.error('an error was not caught; the node stops', { error: error.stack ?? String(error) });
    if (!stopping) stop(true);
  });
}
