import { type CommandNode, flatten, type OptionNode } from './command-tree.ts';

/** For zsh 5: one function a command, each with an `_arguments` call of its own. */
export function zshScript(tree: CommandNode): string {
  return `#compdef signalbox
${flatten(tree).map(commandFunction).join('\n')}
if [ "$funcstack[1]" = "_signalbox" ]; then
  _signalbox "$@"
else
  compdef _signalbox signalbox ./signalbox
fi
`;
}

function functionName(path: readonly string[]): string {
  return ['_signalbox', ...path].join('_').replaceAll('-', '_');
}

function commandFunction(node: CommandNode): string {
  const options = node.options.flatMap(optionSpecs).map((spec) => `    ${spec} \\`);
  if (node.children.length === 0) {
    const argument = node.choices.length > 0 ? `'1:value:(${node.choices.join(' ')})'` : "'*:file:_files'";
    return `${functionName(node.path)}() {\n  _arguments -s \\\n${options.join('\n')}\n    ${argument}\n}\n`;
  }
  const described = node.children.map((child) => `    ${quote(`${child.path.at(-1)}:${child.description}`)}`);
  const cases = node.children.map((child) => `        ${child.path.at(-1)}) ${functionName(child.path)} ;;`);
  return `${functionName(node.path)}() {
  local -a commands
  local context state state_descr line
  typeset -A opt_args
  commands=(
${described.join('\n')}
  )
  _arguments -s -C \\
${options.join('\n')}
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
${cases.join('\n')}
      esac ;;
  esac
}
`;
}

function optionSpecs(option: OptionNode): readonly string[] {
  const description = option.description.replaceAll('[', '\\[').replaceAll(']', '\\]').replaceAll(':', '\\:');
  const action = option.choices.length > 0 ? `(${option.choices.join(' ')})` : '_files';
  return option.flags.map((flag) => quote(`${flag}[${description}]${option.takesValue ? `:value:${action}` : ''}`));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
