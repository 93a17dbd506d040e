import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { lockFolder } from './lock.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-lock-'));
});

describe('lockFolder', () => {
  it('refuses a folder that a living process holds, and names it', async () => {
    using _held = await lockFolder(folder);
    await expect(lockFolder(folder)).rejects.toThrow(`already runs on ${folder} (process ${process.pid})`);
  });

  it('takes over from a process that is gone', async () => {
    await writeFile(join(folder, 'up.lock'), JSON.stringify({ pid: 2 ** 22 + 1, started: '1' }));
    using _held = await lockFolder(folder);
    expect(existsSync(join(folder, 'up.lock'))).toBe(true);
  });

  it('takes over when the number of a process that is gone belongs to another one now', async () => {
    await writeFile(join(folder, 'up.lock'), JSON.stringify({ pid: process.pid, started: 'long ago' }));
    using _held = await lockFolder(folder);
    expect(existsSync(join(folder, 'up.lock'))).toBe(true);
  });

  it('takes over a lock that was never written out', async () => {
    await writeFile(join(folder, 'up.lock'), '');
    using _held = await lockFolder(folder);
    expect(existsSync(join(folder, 'up.lock'))).toBe(true);
  });

  it('gives the folder back', async () => {
    (await lockFolder(folder))[Symbol.dispose]();
    expect(existsSync(join(folder, 'up.lock'))).toBe(false);
  });
});
