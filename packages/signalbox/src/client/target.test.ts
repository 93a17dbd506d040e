import { mkdir, mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';
import { beforeEach, describe, expect, it } from 'vitest';
import { memoryCli } from '../testing/memory-cli.ts';
import { type CliFile, writeCliFile } from './cli-file.ts';
import { findTarget } from './target.ts';

const file: CliFile = {
  url: 'http://127.0.0.1:7070',
  token: new Secret('from-file'),
  tenant: 'demo',
  gatewayUrl: 'http://127.0.0.1:8080',
  key: undefined,
  variables: { A: 'b' },
};

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'signalbox-target-'));
});

describe('findTarget', () => {
  it('takes what up wrote in the folder of the checkout, from any directory', async () => {
    await writeCliFile(join(root, '.signalbox'), file);
    const target = await findTarget(memoryCli({ root, cwd: '/' }));
    expect([target.url, target.token?.reveal(), target.file?.tenant]).toEqual([
      'http://127.0.0.1:7070',
      'from-file',
      'demo',
    ]);
  });

  it('prefers the nearest folder above the current one', async () => {
    await writeCliFile(join(root, '.signalbox'), file);
    const project = join(root, 'project');
    await writeCliFile(join(project, '.signalbox'), { ...file, tenant: 'acme' });
    await mkdir(join(project, 'deep', 'down'), { recursive: true });
    const target = await findTarget(memoryCli({ root, cwd: join(project, 'deep', 'down') }));
    expect(target.file?.tenant).toBe('acme');
  });

  it('lets the environment win, and never sends the token of the file to another server', async () => {
    await writeCliFile(join(root, '.signalbox'), file);
    const elsewhere = await findTarget(memoryCli({ root, environment: { SIGNALBOX_URL: 'https://cp.example/' } }));
    expect([elsewhere.url, elsewhere.token, elsewhere.file]).toEqual(['https://cp.example', undefined, undefined]);
    const same = await findTarget(memoryCli({ root, environment: { SIGNALBOX_TOKEN: 'mine' } }));
    expect([same.url, same.token?.reveal()]).toEqual(['http://127.0.0.1:7070', 'mine']);
  });

  it('is the default address without a token when nothing is known', async () => {
    const target = await findTarget(memoryCli({ root, cwd: root }));
    expect([target.url, target.token]).toEqual(['http://127.0.0.1:7070', undefined]);
  });

  it('says what to do about a damaged file and a wrong URL', async () => {
    await mkdir(join(root, '.signalbox'));
    await writeFile(join(root, '.signalbox', 'cli.json'), '{"url":');
    await expect(findTarget(memoryCli({ root, cwd: root }))).rejects.toThrow('damaged: delete it');
    await expect(findTarget(memoryCli({ environment: { SIGNALBOX_URL: 'cp.example' } }))).rejects.toThrow(
      'SIGNALBOX_URL',
    );
  });
});

describe('writeCliFile', () => {
  it('makes a file that only its owner can read', async () => {
    await writeCliFile(join(root, '.signalbox'), file);
    expect((await stat(join(root, '.signalbox', 'cli.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, '.signalbox'))).mode & 0o777).toBe(0o700);
  });
});
