import { controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { jsonLogger, readSettings } from '@signalbox/runtime';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { describeSettings } from '../output/settings-help.ts';
import { examples } from '../output/examples.ts';
import { untilInterrupted } from '../until-interrupted.ts';

const details = `
All of it is set by variables. On the first start with an empty database it creates an operator token and prints it once, on
standard output. The log is JSON lines on standard error. SIGTERM or Ctrl-C drains and stops; a second one stops at once.
`;

/** `control-plane`: one replica of the control plane. */
export function controlPlaneCommand(cli: Cli): Command {
  return new Command('control-plane')
    .description('Run the control plane: API, store and discovery.')
    .addHelpText('after', details)
    .addHelpText('after', () => describeSettings(controlPlaneSettings))
    .addHelpText(
      'after',
      examples(['DATABASE_URL=postgres://signalbox:…@db/signalbox signalbox control-plane', 'one of several replicas']),
    )
    .action(async () => {
      const settings = readSettings(controlPlaneSettings, cli.environment);
      const logger = jsonLogger(settings.logLevel);
      const running = await startControlPlane({ settings, logger });
      if (running.operatorToken) {
        cli.out.write(`operator token, shown only now: ${running.operatorToken.reveal()}\n`);
      }
      await untilInterrupted(cli);
      await running.stop();
    });
}
