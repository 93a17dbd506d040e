import { resolve } from 'node:path';
import { proxySettings, startProxy, startWorkers } from '@signalbox/proxy';
import { jsonLogger, type Logger, readSettings } from '@signalbox/runtime';
import { Command } from 'commander';
import { spawnWorker } from '../bundled/worker-process.ts';
import type { Cli } from '../cli.ts';
import { Failure } from '../failure.ts';
import { describeSettings } from '../output/settings-help.ts';
import { examples } from '../output/examples.ts';
import { untilInterrupted } from '../until-interrupted.ts';

interface ProxyOptions {
  readonly config?: string;
  readonly workers?: string;
}

const details = `
With --config it serves the resources of a file or folder without a control plane, and again whenever they change; \${env:NAME}
in them is replaced from the environment. Otherwise it gets them from the control plane at SIGNALBOX_PROXY_DISCOVERY_ADDRESS,
with the token in SIGNALBOX_PROXY_TOKEN (make one: signalbox token create NAME --role node --gateway default).
With --workers several processes serve the same listeners (Linux, FreeBSD), each a node of its own in "signalbox nodes". One that ends
by itself is started again. SIGHUP replaces them one by one with what is installed now: no connection is refused and no call cut off.
The admin endpoints are those of all; ?worker=0 asks one. Limits of rates and of calls under way count in each worker.
The log is JSON lines on standard error. SIGTERM or Ctrl-C drains and stops; a second one stops at once.
`;

/** `proxy`: one node of the data plane. */
export function proxyCommand(cli: Cli): Command {
  return new Command('proxy')
    .description('Run a proxy node: the listeners that agents connect to.')
    .option('-c, --config <path>', 'serve this file or folder, without a control plane')
    .option('-w, --workers <count>', 'serve with so many processes, or auto: one a core')
    .addHelpText('after', details)
    .addHelpText('after', () => describeSettings(proxySettings))
    .addHelpText(
      'after',
      examples(
        ['signalbox proxy --config gateway.yaml', 'by file'],
        ['SIGNALBOX_PROXY_TOKEN=… signalbox proxy', 'as a node of a control plane'],
        ['signalbox proxy --workers auto', 'on all cores'],
      ),
    )
    .action(async (options: ProxyOptions) => {
      const config = options.config === undefined ? {} : { SIGNALBOX_PROXY_CONFIG: resolve(cli.cwd, options.config) };
      const workers = options.workers === undefined ? {} : { SIGNALBOX_PROXY_WORKERS: options.workers };
      const environment = { ...cli.environment, ...config, ...workers };
      const settings = readSettings(proxySettings, environment);
      const logger = jsonLogger(settings.logLevel);
      if (settings.workers !== undefined) return serveWithWorkers(cli, environment, logger);
      const running = await startProxy({ settings, logger, environment: cli.environment });
      await untilInterrupted(cli);
      await running.stop();
    });
}

async function serveWithWorkers(cli: Cli, environment: Cli['environment'], logger: Logger): Promise<void> {
  const running = await startWorkers({ environment, spawn: spawnWorker, logger });
  cli.onHangup(() => void running.restart());
  await untilInterrupted(cli);
  if (!(await running.stop())) throw new Failure('workers were cut off at the drain deadline');
}
