import { chmod, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { operatorSet, tenantSet } from '../testing/config-sets.ts';
import { LastGood, type LastGoodOptions } from './last-good.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'last-good-'));
});
afterEach(() => rm(folder, { recursive: true }));

function opened(options: Partial<LastGoodOptions> = {}) {
  const clock = new ManualClock();
  const logger = new MemoryLogger();
  const failures: string[] = [];
  const lastGood = new LastGood({
    folder,
    key: undefined,
    maxFileBytes: 1_000_000,
    maxScopes: 100,
    retryMs: 5_000,
    clock,
    random: new SeededRandom(1),
    logger,
    onWriteFailed: () => void failures.push('failed'),
    ...options,
  });
  return { clock, logger, failures, lastGood };
}

const acme = { snapshot: tenantSet('acme', 3n, { routes: ['a'] }), manifestVersion: 'm3' };
const operator = { snapshot: operatorSet(1n, ['acme']), manifestVersion: 'm1' };

describe('the last good sets', () => {
  it('are there after a restart', async () => {
    const { lastGood } = opened();
    expect(await lastGood.load()).toEqual([]);
    lastGood.save(acme);
    lastGood.save(operator);
    await lastGood.idle();
    expect(await opened().lastGood.load()).toEqual([acme, operator]);
    expect((await stat(join(folder, 'acme.set'))).mode & 0o777).toBe(0o600);
  });

  it('are sealed when there is a key', async () => {
    const key = new Secret(Buffer.alloc(32, 5));
    const { lastGood } = opened({ key });
    lastGood.save(acme);
    await lastGood.idle();
    expect((await readFile(join(folder, 'acme.set'))).includes('/acme/a')).toBe(false);
    expect(await opened({ key }).lastGood.load()).toEqual([acme]);
  });

  it('are written once for the newest of several quick activations', async () => {
    const { lastGood } = opened();
    await lastGood.load();
    for (let revision = 1n; revision <= 50n; revision += 1n) {
      lastGood.save({ snapshot: tenantSet('acme', revision, { routes: ['a'] }), manifestVersion: String(revision) });
    }
    await lastGood.idle();
    const [loaded] = await opened().lastGood.load();
    expect(loaded?.manifestVersion).toBe('50');
    expect(await readdir(folder)).toEqual(['acme.set']);
  });

  it('go when their scope goes', async () => {
    const { lastGood } = opened();
    lastGood.save(acme);
    await lastGood.idle();
    lastGood.forget('acme');
    await lastGood.idle();
    expect(await readdir(folder)).toEqual([]);
  });

  it('that cannot be trusted are set aside and reported; the others are used', async () => {
    const { lastGood } = opened();
    lastGood.save(acme);
    lastGood.save(operator);
    await lastGood.idle();
    const file = await readFile(join(folder, 'acme.set'));
    await writeFile(join(folder, 'acme.set'), file.subarray(0, file.length - 5));
    await writeFile(join(folder, 'beta.set'), 'nonsense');
    const again = opened();
    expect(await again.lastGood.load()).toEqual([operator]);
    expect(await readdir(folder)).toEqual(['acme.set.quarantined', 'beta.set.quarantined', 'operator.set']);
    expect(again.logger.lines.map(({ level }) => level)).toEqual(['error', 'error']);
  });

  it('are not taken from the file of another scope, nor from one that is too large', async () => {
    const { lastGood } = opened();
    lastGood.save(acme);
    lastGood.save(operator);
    await lastGood.idle();
    await rename(join(folder, 'acme.set'), join(folder, 'beta.set'));
    expect(await opened().lastGood.load()).toEqual([operator]);
    expect(await opened({ maxFileBytes: 10 }).lastGood.load()).toEqual([]);
  });

  it('are tried again when they could not be written, and the newest is what is written then', async () => {
    const { lastGood, failures, clock } = opened();
    await lastGood.load();
    await rm(folder, { recursive: true });
    lastGood.save(acme);
    await expect.poll(() => failures.length).toBe(1);
    lastGood.save({ ...acme, manifestVersion: 'newer' });
    await lastGood.load();
    await clock.advance(5_000);
    await lastGood.idle();
    expect((await opened().lastGood.load())[0]?.manifestVersion).toBe('newer');
  });

  it('are written before a stop, which does not wait for what cannot be written', async () => {
    const { lastGood } = opened();
    await lastGood.load();
    lastGood.save(acme);
    await lastGood.close(new AbortController().signal);
    expect(await opened().lastGood.load()).toEqual([acme]);
    const stuck = opened({ folder: join(folder, 'nowhere') });
    stuck.lastGood.save(acme);
    await stuck.lastGood.close(new AbortController().signal);
    expect(stuck.failures.length).toBeGreaterThan(0);
  });

  it('survive a write that was cut off', async () => {
    const { lastGood } = opened();
    lastGood.save(acme);
    await lastGood.idle();
    await writeFile(join(folder, 'acme.set.new'), 'half a file');
    await chmod(join(folder, 'acme.set.new'), 0o600);
    expect(await opened().lastGood.load()).toEqual([acme]);
  });
});
