import { resolve } from 'node:path';
import { proxySettings, startProxy } from '@signalbox/proxy';
import { jsonLogger, readSettings } from '@signalbox/runtime';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { describeSettings } from '../output/settings-help.ts';
import { examples } from '../output/examples.ts';
import { untilInterrupted } from '../until-interrupted.ts';

interface ProxyOptions {
  readonly config?: string;
}

const details = `
With --config it serves the resources of a file or folder without a control plane, and again whenever they change; \${env:NAME}
in them is replaced from the environment. Otherwise it gets them from the control plane at SIGNALBOX_PROXY_DISCOVERY_ADDRESS,
with the token in SIGNALBOX_PROXY_TOKEN (make one: signalbox token create NAME --role node --gateway default).
The log is JSON lines on standard error. SIGTERM or Ctrl-C drains and stops; a second one stops at once.
`;

/** `proxy`: one node of the data plane. */
export function proxyCommand(cli: Cli): Command {
  return new Command('proxy')
    .description('Run a proxy node: the listeners that agents connect to.')
    .option('-c, --config <path>', 'serve this file or folder, without a control plane')
    .addHelpText('after', details)
    .addHelpText('after', () => describeSettings(proxySettings))
    .addHelpText(
      'after',
      examples(
        ['signalbox proxy --config gateway.yaml', 'by file'],
        ['SIGNALBOX_PROXY_TOKEN=… signalbox proxy', 'as a node of a control plane'],
      ),
    )
    .action(async (options: ProxyOptions) => {
      const config = options.config === undefined ? {} : { SIGNALBOX_PROXY_CONFIG: resolve(cli.cwd, options.config) };
      const settings = readSettings(proxySettings, { ...cli.environment, ...config });
      const running = await startProxy({
        settings,
        logger: jsonLogger(settings.logLevel),
        environment: cli.environment,
      });
      await untilInterrupted(cli);
      await running.stop();
    });
}
