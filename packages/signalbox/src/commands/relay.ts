import { relaySettings, startRelay } from '@signalbox/control-plane';
import { jsonLogger, readSettings } from '@signalbox/runtime';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { describeSettings } from '../output/settings-help.ts';
import { examples } from '../output/examples.ts';
import { untilInterrupted } from '../until-interrupted.ts';

const details = `
It is fed by the discovery of a control plane, or of another relay, in place of a database, and serves the nodes of its gateway
with the same revisions, versions and bytes. Nodes show the same credentials as at the control plane, and point
SIGNALBOX_PROXY_DISCOVERY_ADDRESS here. With SIGNALBOX_STATE it starts and serves while its upstream is away.
The log is JSON lines on standard error. SIGTERM or Ctrl-C drains and stops; a second one stops at once.
`;

/** `relay`: discovery near its nodes, without a database. */
export function relayCommand(cli: Cli): Command {
  return new Command('relay')
    .description('Run a relay: discovery for nodes, fed by a control plane elsewhere.')
    .addHelpText('after', details)
    .addHelpText('after', () => describeSettings(relaySettings))
    .addHelpText(
      'after',
      examples(
        ['signalbox token create eu --role relay --gateway default', 'its credential'],
        ['SIGNALBOX_RELAY_UPSTREAM=control:7071 SIGNALBOX_RELAY_TOKEN=… signalbox relay', 'one of several'],
      ),
    )
    .action(async () => {
      const settings = readSettings(relaySettings, cli.environment);
      const running = await startRelay({ settings, logger: jsonLogger(settings.logLevel) });
      await untilInterrupted(cli);
      await running.stop();
    });
}
