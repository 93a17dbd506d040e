import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { memoryCli } from '../testing/memory-cli.ts';
import { readResourceFiles } from './resource-files.ts';

const backend = (tenant: string, name: string, url = 'http://127.0.0.1:1/mcp') =>
  `apiVersion: signalbox.dev/v1
kind: Backend
metadata: { tenant: ${tenant}, name: ${name} }
spec:
  mcp: { url: "${url}" }
`;
const tenant = 'apiVersion: signalbox.dev/v1\nkind: Tenant\nmetadata: { name: acme }\nspec: {}\n';

let cwd: string;

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'signalbox-files-'));
});

describe('readResourceFiles', () => {
  it('reads files, folders and standard input, and puts the operator first', async () => {
    await mkdir(join(cwd, 'acme', 'deep'), { recursive: true });
    await writeFile(join(cwd, 'acme', 'b.yaml'), backend('acme', 'one'));
    await writeFile(join(cwd, 'acme', 'deep', 'a.yml'), backend('zeta', 'two'));
    await writeFile(join(cwd, 'acme', '.hidden.yaml'), 'no: resource');
    await writeFile(join(cwd, 'acme', 'notes.txt'), 'no resource');
    const cli = memoryCli({ cwd, readInput: () => Promise.resolve(tenant) });
    const sets = await readResourceFiles(cli, ['acme', '-'], {});
    expect(sets.map(({ scope, documents }) => [scope, documents.map(({ name }) => name)])).toEqual([
      ['operator', ['acme']],
      ['acme', ['one']],
      ['zeta', ['two']],
    ]);
  });

  it('replaces variables, the environment first', async () => {
    await writeFile(join(cwd, 'a.yaml'), backend('acme', 'one', 'http://${env:HOST_A}/${env:PATH_A}'));
    const cli = memoryCli({ cwd, environment: { HOST_A: 'from-environment' } });
    const [set] = await readResourceFiles(cli, ['a.yaml'], { HOST_A: 'from-up', PATH_A: 'mcp' });
    expect(set?.documents[0]?.spec).toEqual({ mcp: { url: 'http://from-environment/mcp' } });
  });

  it('lists every problem of every file with line and field', async () => {
    await writeFile(join(cwd, 'a.yaml'), `${backend('acme', 'one')}  colour: red\n---\n${backend('acme', 'one')}`);
    await writeFile(join(cwd, 'b.yaml'), backend('acme', 'two', '${env:NOWHERE}'));
    const reading = readResourceFiles(memoryCli({ cwd }), ['a.yaml', 'b.yaml'], {});
    await expect(reading).rejects.toThrow(/a\.yaml:6 spec\.colour: .*/);
    await expect(reading).rejects.toThrow(/b\.yaml:5 .*NOWHERE/);
    await expect(reading).rejects.toThrow(/problems, nothing was sent:/);
  });

  it('says which path is wrong', async () => {
    await mkdir(join(cwd, 'empty'));
    await expect(readResourceFiles(memoryCli({ cwd }), ['nothing'], {})).rejects.toThrow(
      'nothing: there is no such file',
    );
    await expect(readResourceFiles(memoryCli({ cwd }), ['empty'], {})).rejects.toThrow(
      'empty: the folder has no .yaml',
    );
  });
});
