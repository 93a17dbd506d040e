import { mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';
import { describe, expect, it } from 'vitest';
import { SecretFolder } from './first-run.ts';

describe('SecretFolder', () => {
  it('makes a credential once and finds it again', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'signalbox-secrets-'));
    const first = await (await SecretFolder.open(dataDir)).readOrMake('demo-key', () => new Secret('one'));
    const second = await (await SecretFolder.open(dataDir)).readOrMake('demo-key', () => new Secret('two'));
    expect([first.reveal(), second.reveal()]).toEqual(['one', 'one']);
  });

  it('keeps others out', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'signalbox-secrets-'));
    const folder = await SecretFolder.open(dataDir);
    await folder.write('session-key', new Secret('x'));
    expect((await stat(join(dataDir, 'secrets'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(dataDir, 'secrets', 'session-key'))).mode & 0o777).toBe(0o600);
  });

  it('forgets what is removed', async () => {
    const folder = await SecretFolder.open(await mkdtemp(join(tmpdir(), 'signalbox-secrets-')));
    await folder.write('node-token', new Secret('x'));
    await folder.remove('node-token');
    expect(await folder.read('node-token')).toBeUndefined();
  });
});
