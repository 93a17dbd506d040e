import { Command, CommanderError } from 'commander';
import type { Cli } from './cli.ts';
import { type ExitCode, Failure } from './failure.ts';

interface Entry {
  readonly name: string;
  readonly summary: string;
  /** Its file is loaded only when the command is called, so that help is instant. */
  load(): Promise<(cli: Cli) => Command>;
}

interface Group {
  readonly title: string;
  readonly entries: readonly Entry[];
}

const groups: readonly Group[] = [
  {
    title: 'Run:',
    entries: [
      {
        name: 'up',
        summary: 'run everything on this machine',
        load: async () => (await import('./commands/up.ts')).upCommand,
      },
      {
        name: 'control-plane',
        summary: 'run the control plane',
        load: async () => (await import('./commands/control-plane.ts')).controlPlaneCommand,
      },
      {
        name: 'relay',
        summary: 'run a relay: discovery near its nodes',
        load: async () => (await import('./commands/relay.ts')).relayCommand,
      },
      {
        name: 'proxy',
        summary: 'run a proxy node',
        load: async () => (await import('./commands/proxy.ts')).proxyCommand,
      },
    ],
  },
  {
    title: 'Configuration:',
    entries: [
      {
        name: 'apply',
        summary: 'commit resources and watch them reach every node',
        load: async () => (await import('./commands/apply.ts')).applyCommand,
      },
      {
        name: 'diff',
        summary: 'show what apply would change',
        load: async () => (await import('./commands/diff.ts')).diffCommand,
      },
      {
        name: 'import',
        summary: 'turn a server.json of a registry into resources',
        load: async () => (await import('./commands/import.ts')).importCommand,
      },
      { name: 'get', summary: 'show resources', load: async () => (await import('./commands/get.ts')).getCommand },
      {
        name: 'revisions',
        summary: 'list revisions, or show one',
        load: async () => (await import('./commands/revisions.ts')).revisionsCommand,
      },
      {
        name: 'rollback',
        summary: 'return to an earlier revision',
        load: async () => (await import('./commands/rollback.ts')).rollbackCommand,
      },
      {
        name: 'rollout',
        summary: 'see revisions that reach nodes in stages; promote, pause, resume, abort',
        load: async () => (await import('./commands/rollout.ts')).rolloutCommand,
      },
      {
        name: 'quarantine',
        summary: 'keep a backend away from everybody, and release it',
        load: async () => (await import('./commands/quarantine.ts')).quarantineCommand,
      },
      {
        name: 'revoke',
        summary: 'refuse tokens of callers that have not expired',
        load: async () => (await import('./commands/revoke.ts')).revokeCommand,
      },
    ],
  },
  {
    title: 'See:',
    entries: [
      {
        name: 'nodes',
        summary: 'show every node and what it runs',
        load: async () => (await import('./commands/nodes.ts')).nodesCommand,
      },
      {
        name: 'propagation',
        summary: 'show which nodes run a revision',
        load: async () => (await import('./commands/propagation.ts')).propagationCommand,
      },
      {
        name: 'catalog',
        summary: 'show what MCP servers have, and how that has changed',
        load: async () => (await import('./commands/catalog.ts')).catalogCommand,
      },
      {
        name: 'tools',
        summary: 'list the tools a principal sees through the proxy',
        load: async () => (await import('./commands/tools.ts')).toolsCommand,
      },
      {
        name: 'explain',
        summary: 'show which rule decides a call',
        load: async () => (await import('./commands/explain.ts')).explainCommand,
      },
      {
        name: 'config-dump',
        summary: 'show what discovery sends to the nodes of a gateway',
        load: async () => (await import('./commands/config-dump.ts')).configDumpCommand,
      },
    ],
  },
  {
    title: 'Other proxies:',
    entries: [
      {
        name: 'external',
        summary: 'show what proxies of others can do, and how to start them',
        load: async () => (await import('./commands/external.ts')).externalCommand,
      },
    ],
  },
  {
    title: 'Access:',
    entries: [
      {
        name: 'token',
        summary: 'create, list and revoke tokens; make API keys',
        load: async () => (await import('./commands/token.ts')).tokenCommand,
      },
      {
        name: 'authority',
        summary: 'make what signs the certificates of nodes',
        load: async () => (await import('./commands/authority.ts')).authorityCommand,
      },
      {
        name: 'completion',
        summary: 'print a completion script for your shell',
        load: async () => (await import('./commands/completion.ts')).completionCommand,
      },
    ],
  },
];

const epilogue = `
Exit status: 0 success, 1 failure, 2 wrong usage, 3 committed but not everywhere in time, 130 interrupted. diff has its own, see signalbox diff --help.
The control plane is found by SIGNALBOX_URL and SIGNALBOX_TOKEN, or by the .signalbox/ folder that up writes. SIGNALBOX_CA_FILE
names the certificates (PEM) that its own must be signed by, in place of those that the machine trusts.

Examples:
  $ signalbox up                            everything on this machine, with a demo
  $ signalbox apply -f deploy/demo          commit the resources of a folder
  $ signalbox nodes --watch                 who runs which revision
  $ signalbox <command> --help              options and examples of a command`;

/** In place of a command's name: all of them. */
export const everyCommand = '*';

/** Runs one command line. @returns the exit status. */
export async function run(args: readonly string[], cli: Cli): Promise<ExitCode> {
  try {
    const program = await buildProgram(cli, commandOf(args));
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    return report(error, cli);
  }
}

/** The command tree. Only the file of the command that is wanted is loaded; the others stand in with name and summary. */
export async function buildProgram(cli: Cli, wanted: string): Promise<Command> {
  const program = new Command('signalbox')
    .description('Signalbox: a gateway for agents, and the control plane that governs it.')
    .version('0.1.0', '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .addHelpText('after', epilogue);
  for (const { title, entries } of groups) {
    for (const entry of entries) {
      const loaded = wanted === everyCommand || wanted === entry.name;
      const command = loaded ? (await entry.load())(cli) : new Command(entry.name);
      program.addCommand(command.summary(entry.summary).helpGroup(title));
    }
  }
  configure(program, cli);
  return program;
}

function configure(command: Command, cli: Cli): void {
  command.exitOverride().showSuggestionAfterError(true);
  command.configureOutput({
    writeOut: (text) => cli.out.write(text),
    writeErr: (text) => cli.err.write(text),
    getOutHasColors: () => cli.out.colours,
    getErrHasColors: () => cli.err.colours,
    outputError: (text, write) => {
      write(`${text.trimEnd()}\nSee: ${pathOf(command)} --help\n`);
    },
  });
  for (const child of command.commands) configure(child, cli);
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

function commandOf(args: readonly string[]): string {
  const words = args.filter((argument) => !argument.startsWith('-'));
  return (words[0] === 'help' ? words[1] : words[0]) ?? '';
}

async function report(error: unknown, cli: Cli): Promise<ExitCode> {
  // Commander has written its own message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (cli.interrupted.aborted) return 130;
  const failure = await explain(error);
  if (failure.message) cli.err.write(`error: ${failure.message}\n`);
  return failure.exitCode;
}

async function explain(error: unknown): Promise<Failure> {
  if (error instanceof Failure) return error;
  if (error instanceof Error && error.name === 'ConnectError') {
    const { apiFailure } = await import('./client/api-failure.ts');
    return apiFailure(error);
  }
  return new Failure(error instanceof Error ? error.message : String(error));
}
