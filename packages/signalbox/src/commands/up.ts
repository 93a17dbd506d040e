import { readSettings, systemClock } from '@signalbox/runtime';
import { controlPlaneSettings } from '@signalbox/control-plane';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { Failure } from '../failure.ts';
import { parsePort } from '../input/option-values.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { type StartingStack, startEverything } from '../up/compose.ts';
import { SecretFolder } from '../up/first-run.ts';
import { lockFolder } from '../up/lock.ts';
import { logToFile } from '../up/log-file.ts';
import { checkPorts } from '../up/ports.ts';
import { showProgress } from '../up/progress.ts';
import { type Resolved, resolveUp } from '../up/resolve.ts';
import { untilGone } from '../up/starter.ts';
import { renderSummary, summarise } from '../up/summary.ts';
import { untilInterrupted } from '../until-interrupted.ts';
import { examples } from '../output/examples.ts';

interface UpCommandOptions {
  readonly port?: number;
  readonly dataDir?: string;
  readonly demo: boolean;
  readonly output: Format;
}

const details = `
Starts Postgres (embedded, unless DATABASE_URL names a server), the control plane, one proxy and two demo MCP servers, and
applies deploy/demo. All state is in .signalbox/; a later start finds it again, and leaves alone what you changed.
For one machine and one person: a fleet runs control-plane and proxy.
`;

/** `up`: everything on one machine, in one process tree. */
export function upCommand(cli: Cli): Command {
  return new Command('up')
    .description('Run everything on this machine: database, control plane, proxy and a demo.')
    .option('-p, --port <port>', 'where agents connect, in place of what the Gateway says', parsePort)
    .option('--data-dir <folder>', 'folder for all state (default: .signalbox, or SIGNALBOX_DATA_DIR)')
    .option('--no-demo', 'no demo servers, no demo configuration')
    .addOption(outputOption())
    .addHelpText(
      'after',
      details +
        examples(
          ['signalbox up', 'everything, with the demo'],
          ['signalbox up --port 9000', 'agents connect to port 9000'],
          ['signalbox up --no-demo --data-dir /var/lib/signalbox', 'an empty one, elsewhere'],
          ['DATABASE_URL=postgres://… signalbox up', 'with a database server of yours'],
        ),
    )
    .action((options: UpCommandOptions) => up(cli, options));
}

async function up(cli: Cli, options: UpCommandOptions): Promise<void> {
  const { port, dataDir, demo } = options;
  const resolved = resolveUp(cli, { port, dataDir, demo });
  using _lock = await lockFolder(resolved.dataDir);
  await checkPorts(resolved.plan.ports);
  const secrets = await SecretFolder.open(resolved.dataDir);
  const { level } = readSettings({ level: controlPlaneSettings.logLevel }, resolved.environment);
  const logger = logToFile(resolved.dataDir, level);
  const starting = startEverything({ cli, resolved, secrets, logger });
  try {
    await run(cli, resolved, starting, options.output);
  } finally {
    if (options.output === 'table') cli.err.write('stopping …\n');
    const inTime = await starting.stack.stop(resolved.settings.stopDeadlineMs);
    if (options.output === 'table')
      cli.err.write(inTime ? 'stopped\n' : 'stopped; some parts had to be killed, see the log\n');
  }
}

/** Until Ctrl-C, until who started it is gone, or until something fails. */
async function run(cli: Cli, resolved: Resolved, starting: StartingStack, output: Format): Promise<void> {
  using starterGone = untilGone(resolved.settings.startedBy, systemClock);
  const interrupted = Promise.race([untilInterrupted(cli), starterGone]).then(() => 'interrupted' as const);
  const broken = starting.broken.then((failure) => Promise.reject(failure));
  const progress = showProgress(cli, starting.steps, output !== 'table');
  const first = await Promise.race([starting.ready, interrupted, broken]);
  if (first === 'interrupted') throw new Failure('', 130);
  await progress;
  const summary = summarise(cli, resolved, first);
  await emit(cli, output, { data: summary, table: (style) => renderSummary(summary, style) });
  await Promise.race([interrupted, broken]);
}
