import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const launcher = join(import.meta.dirname, '..', '..', '..', 'signalbox');
const execute = promisify(execFile);
let script: string;

beforeAll(async () => {
  script = (await execute(launcher, ['completion', 'bash'])).stdout;
});

/** What bash offers for the last of the words. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const call = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _signalbox; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await execute('bash', ['--norc', '-c', call, 'bash', 'signalbox', ...words]);
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion in bash', () => {
  it('offers commands, and subcommands below them', async () => {
    expect(await offered('ro')).toEqual(['rollback', 'rollout']);
    expect(await offered('token', '')).toEqual(expect.arrayContaining(['create', 'list', 'revoke', 'hash']));
    expect(await offered('token', 'c')).toEqual(['create']);
  });

  it('offers the options of the command that stands before', async () => {
    expect(await offered('apply', '--dry')).toEqual(['--dry-run']);
    expect(await offered('nodes', '--dry')).toEqual([]);
  });

  it('offers the values that an option is limited to', async () => {
    expect(await offered('get', 'routes', '-o', '')).toEqual(['table', 'json', 'yaml']);
    expect(await offered('token', 'create', 'ci', '--role', 'de')).toEqual(['developer']);
    expect(await offered('completion', 'f')).toEqual(['fish']);
  });

  it('offers files where an option takes one', async () => {
    expect(await offered('apply', '-f', join(import.meta.dirname, 'cli-comp'))).toEqual([import.meta.filename]);
  });
});
