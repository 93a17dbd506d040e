import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '@signalbox/runtime/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOrCreateNodeId } from './node-id.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-id-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('the name of a node', () => {
  it('stays the same over restarts', async () => {
    const state = join(folder, 'state');
    const first = await readOrCreateNodeId(state, 'host-42', new SeededRandom(1));
    expect(first).toMatch(/^host-42-[0-9a-f]{8}$/);
    expect(await readOrCreateNodeId(state, 'host-43', new SeededRandom(2))).toBe(first);
  });

  it('has only characters that are safe everywhere', async () => {
    expect(await readOrCreateNodeId(folder, 'my host/ü', new SeededRandom(1))).toMatch(/^my-host---[0-9a-f]{8}$/);
  });

  it('is made anew when the file holds none', async () => {
    await writeFile(join(folder, 'node-id'), 'not a\nname');
    expect(await readOrCreateNodeId(folder, 'host', new SeededRandom(1))).toMatch(/^host-/);
  });
});
