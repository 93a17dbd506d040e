import { type CommandNode, flatten, type OptionNode } from './command-tree.ts';

/** For fish 3: one `complete` line a word or option, each under the condition that the command stands before it. */
export function fishScript(tree: CommandNode): string {
  const lines = flatten(tree).flatMap((node) => [
    ...node.children.map((child) => {
      return `complete -c signalbox -n ${condition(node)} -f -a ${quote(child.path.at(-1) ?? '')} -d ${quote(child.description)}`;
    }),
    ...node.choices.map((choice) => `complete -c signalbox -n ${condition(node)} -f -a ${quote(choice)}`),
    ...node.options.map((option) => optionLine(node, option)),
  ]);
  return `# fish completion for signalbox
function __signalbox_at --description 'the commands before the cursor are exactly these'
    set -l words
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; or set -a words $word
    end
    test (count $argv) -eq 0; and test (count $words) -eq 0; and return 0
    test (count $argv) -gt 0; and test "$words[1..(count $argv)]" = "$argv"
end
${lines.join('\n')}
`;
}

function condition(node: CommandNode): string {
  return quote(['__signalbox_at', ...node.path].join(' '));
}

function optionLine(node: CommandNode, option: OptionNode): string {
  const flags = option.flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const choices = option.choices.length > 0 ? [`-x -a ${quote(option.choices.join(' '))}`] : [];
  const value = option.takesValue && option.choices.length === 0 ? ['-r'] : [];
  return [
    'complete -c signalbox -n',
    condition(node),
    ...flags,
    ...choices,
    ...value,
    '-d',
    quote(option.description),
  ].join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
