import { Option } from 'commander';
import type { Cli } from '../cli.ts';
import { renderJson } from './json.ts';
import { style, type Style } from './style.ts';

const formats = ['table', 'json', 'yaml'] as const;
export type Format = (typeof formats)[number];

/** What a command has to show. */
export interface Result {
  /** For programs: what `-o json` and `-o yaml` print. */
  readonly data: unknown;
  /** For people. */
  table(style: Style): string;
  /** Printed as a stream of documents by `-o yaml` instead of `data`. */
  readonly documents?: readonly unknown[];
}

/** `-o`, which every command has. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print').choices(formats).default('table');
}

/** Prints a result on standard output. */
export async function emit(cli: Cli, format: Format, result: Result): Promise<void> {
  cli.out.write(await rendered(cli, format, result));
}

async function rendered(cli: Cli, format: Format, result: Result): Promise<string> {
  switch (format) {
    case 'table':
      return result.table(style(cli.out.colours));
    case 'json':
      return renderJson(result.data);
    case 'yaml': {
      const { renderYaml, renderYamlStream } = await import('./yaml.ts');
      return result.documents ? renderYamlStream(result.documents) : renderYaml(result.data);
    }
  }
}
