import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram, everyCommand, run } from './program.ts';
import { memoryCli } from './testing/memory-cli.ts';

function leaves(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

async function helpOf(command: Command): Promise<string> {
  const cli = memoryCli();
  command.configureOutput({ writeOut: (text) => cli.out.write(text) });
  command.outputHelp();
  return Promise.resolve(cli.printed.out);
}

describe('run', () => {
  it('shows help and version with status 0', async () => {
    const cli = memoryCli();
    expect(await run(['--help'], cli)).toBe(0);
    expect(cli.printed.out).toContain('rollback');
    expect(await run(['--version'], memoryCli())).toBe(0);
  });

  it.each([
    [['nodse'], 'Did you mean nodes?'],
    [['apply'], "required option '-f, --file <path>'"],
    [['get', '--output', 'xml'], 'table, json, yaml'],
    [['explain', '--route', 'r', '--args', '{}'], 'name one of --tool'],
    [['tools'], 'name one of --route and --url'],
    [['up', '--port', 'http'], '1 to 65535'],
    [['get', 'rooutes'], 'there is no kind "rooutes"'],
    [['get', 'routes'], 'add --tenant'],
  ])('answers %j with status 2 and what is wrong', async (args, text) => {
    const cli = memoryCli();
    expect(await run(args, cli)).toBe(2);
    expect(cli.printed.err).toContain(text);
  });

  it('answers status 1 and what to do when the control plane is not there', async () => {
    const cli = memoryCli({ environment: { SIGNALBOX_URL: 'http://127.0.0.1:1' } });
    expect(await run(['nodes'], cli)).toBe(1);
    expect(cli.printed.err).toContain('signalbox up');
  });

  it('answers status 2 to diff in trouble, as diff does', async () => {
    const cli = memoryCli({ environment: { SIGNALBOX_URL: 'http://127.0.0.1:1' } });
    expect(await run(['diff', '-f', '/nowhere.yaml'], cli)).toBe(2);
  });

  it('makes a key and its hash without a control plane', async () => {
    const cli = memoryCli();
    expect(await run(['token', 'hash', '-o', 'json'], cli)).toBe(0);
    expect(JSON.parse(cli.printed.out)).toEqual({
      key: expect.stringMatching(/^sba_[\w-]{43}$/),
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('hashes a key from standard input, without its line end', async () => {
    const cli = memoryCli({ readInput: () => Promise.resolve('abc\n') });
    await run(['token', 'hash', '--stdin', '-o', 'json'], cli);
    expect(JSON.parse(cli.printed.out)).toEqual({
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    });
  });
});

describe('every command', () => {
  it('has a description and examples in its help', async () => {
    const program = await buildProgram(memoryCli(), everyCommand);
    const helps = await Promise.all(leaves(program).map(async (command) => [command, await helpOf(command)] as const));
    const poor = helps.filter(([command, help]) => command.description() === '' || !help.includes('Examples:\n  $ '));
    expect(poor.map(([command]) => command.name())).toEqual([]);
  });

  it('prints as table, JSON or YAML, but for those that print no data', async () => {
    const program = await buildProgram(memoryCli(), everyCommand);
    const without = leaves(program).filter((command) => !command.options.some(({ long }) => long === '--output'));
    expect(without.map((command) => command.name())).toEqual([
      'control-plane',
      'relay',
      'proxy',
      'authority',
      'completion',
    ]);
  });
});
