import { Command, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { describeTree } from './command-tree.ts';
import { completionScript } from './script.ts';

const program = new Command('signalbox').description('top');
program
  .command('nodes')
  .description("show the operator's nodes")
  .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']))
  .option('--watch', 'keep looking');
program.command('token').description('tokens').command('list').description('all of them');
const tree = describeTree(program);

describe('describeTree', () => {
  it('has every command with its options, help included', () => {
    const nodes = tree.children.find((child) => child.path[0] === 'nodes');
    expect(nodes?.options.map(({ flags }) => flags.join(' '))).toEqual(['-o --output', '--watch', '-h --help']);
    expect(tree.children.find((child) => child.path[0] === 'token')?.children[0]?.path).toEqual(['token', 'list']);
  });
});

describe('completionScript', () => {
  it('offers commands, subcommands, options and their values to bash', () => {
    const script = completionScript('bash', tree);
    expect(script).toContain(`'')`);
    expect(script).toContain(`compgen -W 'nodes token -h --help'`);
    expect(script).toContain(
      `' nodes -o'|' nodes --output') COMPREPLY=($(compgen -W 'table json' -- "$word")); return ;;`,
    );
    expect(script).toContain(`' token list') path=' token list' ;;`);
  });

  it('describes them to zsh, with quotes escaped', () => {
    const script = completionScript('zsh', tree);
    expect(script).toContain(`'nodes:show the operator'\\''s nodes'`);
    expect(script).toContain(`'--output[how to print]:value:(table json)'`);
    expect(script).toContain('_signalbox_token_list()');
  });

  it('describes them to fish, each under its command', () => {
    const script = completionScript('fish', tree);
    expect(script).toContain(
      `complete -c signalbox -n '__signalbox_at' -f -a 'nodes' -d 'show the operator\\'s nodes'`,
    );
    expect(script).toContain(`complete -c signalbox -n '__signalbox_at nodes' -s o -l output -x -a 'table json'`);
  });
});
