import { type CommandNode, flatten } from './command-tree.ts';

/**
 * For bash 3.2 and later, without the bash-completion package. The function walks the words before the cursor down the
 * tree and offers what fits there.
 */
export function bashScript(tree: CommandNode): string {
  const nodes = flatten(tree);
  return `# bash completion for signalbox
_signalbox() {
  local word previous path i
  COMPREPLY=()
  word=\${COMP_WORDS[COMP_CWORD]}
  previous=\${COMP_WORDS[COMP_CWORD-1]}
  path=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
${nodes
  .filter((node) => node.path.length > 0)
  .map((node) => `      '${['', ...node.path].join(' ')}') path='${['', ...node.path].join(' ')}' ;;`)
  .join('\n')}
    esac
  done
  case "$path $previous" in
${nodes.flatMap(valueCases).join('\n')}
  esac
  case "$path" in
${nodes.map(wordCase).join('\n')}
  esac
}
complete -F _signalbox signalbox ./signalbox
`;
}

function valueCases(node: CommandNode): readonly string[] {
  return node.options
    .filter((option) => option.takesValue)
    .map((option) => {
      const patterns = option.flags.map((flag) => `'${['', ...node.path, flag].join(' ')}'`).join('|');
      const offer = option.choices.length > 0 ? words(option.choices) : 'COMPREPLY=($(compgen -f -- "$word"))';
      return `    ${patterns}) ${offer}; return ;;`;
    });
}

function wordCase(node: CommandNode): string {
  const plain = [...node.children.map((child) => child.path.at(-1) ?? ''), ...node.choices];
  const flags = node.options.flatMap((option) => option.flags);
  return `    '${['', ...node.path].join(' ')}'|'${node.path.join(' ')}') ${words([...plain, ...flags])} ;;`.replace(
    "''|'')",
    "'')",
  );
}

function words(list: readonly string[]): string {
  return `COMPREPLY=($(compgen -W '${list.join(' ')}' -- "$word"))`;
}
