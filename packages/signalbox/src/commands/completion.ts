import { Argument, Command } from 'commander';
import type { Cli } from '../cli.ts';
import { describeTree } from '../completion/command-tree.ts';
import { completionScript, type Shell, shells } from '../completion/script.ts';
import { buildProgram, everyCommand } from '../program.ts';
import { examples } from '../output/examples.ts';

/** `completion`: a script for the shell, made from the command tree itself. */
export function completionCommand(cli: Cli): Command {
  return new Command('completion')
    .description('Print a completion script for your shell.')
    .addArgument(new Argument('<shell>').choices(shells))
    .addHelpText(
      'after',
      examples(
        ['source <(signalbox completion bash)', 'in this shell, or in ~/.bashrc'],
        ['signalbox completion zsh > "${fpath[1]}/_signalbox"', 'for zsh'],
        ['signalbox completion fish > ~/.config/fish/completions/signalbox.fish', 'for fish'],
      ),
    )
    .action(async (shell: Shell) => {
      cli.out.write(completionScript(shell, describeTree(await buildProgram(cli, everyCommand))));
    });
}
