import { parseArgs } from 'node:util';
import { jsonLogger, SettingsError } from '@signalbox/runtime';
import { type RunningProxy, startProxy } from './compose.ts';
import { ConfigFileError } from './discovery/config-source.ts';
import { readProxySettings } from './settings.ts';

const usage = `usage: proxy [--config FILE|FOLDER]

Serves what the control plane says (SIGNALBOX_PROXY_DISCOVERY_ADDRESS, SIGNALBOX_PROXY_TOKEN), or, with --config, the
resources in files. Settings are SIGNALBOX_* variables.
`;

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help) return void process.stdout.write(usage);
  const environment =
    values.config === undefined ? process.env : { ...process.env, SIGNALBOX_PROXY_CONFIG: values.config };
  try {
    const settings = readProxySettings(environment);
    const logger = jsonLogger(settings.logLevel);
    stopOnSignal(await startProxy({ settings, environment: process.env, logger }));
  } catch (error) {
    const expected = error instanceof SettingsError || error instanceof ConfigFileError;
    process.stderr.write(`${expected ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

/** SIGTERM drains; so does SIGINT, without waiting for load balancers; a second signal ends the process at once. */
function stopOnSignal(proxy: RunningProxy): void {
  let stopping = false;
  const stop = (acceptMs?: number) => {
    if (stopping) process.exit(1);
    stopping = true;
    void proxy.stop(undefined, acceptMs).then((inTime) => process.exit(inTime ? 0 : 1));
  };
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop(0));
}
