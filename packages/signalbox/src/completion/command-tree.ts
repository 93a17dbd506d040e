import type { Command, Option } from 'commander';

export interface OptionNode {
  /** `-o` and `--output`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** A word follows it. */
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** What a shell has to know of a command. */
export interface CommandNode {
  /** Words below the program: `['token', 'create']`; empty for the program. */
  readonly path: readonly string[];
  readonly description: string;
  readonly children: readonly CommandNode[];
  readonly options: readonly OptionNode[];
  /** Words for its first argument. */
  readonly choices: readonly string[];
}

/** The tree of a program, with the help option and command that every one has. */
export function describeTree(command: Command, path: readonly string[] = []): CommandNode {
  const helper = command.createHelp();
  return {
    path,
    description: command.summary() || command.description(),
    children: command.commands.map((child) => describeTree(child, [...path, child.name()])),
    options: helper.visibleOptions(command).map(describeOption),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
}

function describeOption(option: Option): OptionNode {
  return {
    flags: [option.short, option.long].filter((flag): flag is string => typeof flag === 'string'),
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}

/** A command and all below it. */
export function flatten(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(flatten)];
}
