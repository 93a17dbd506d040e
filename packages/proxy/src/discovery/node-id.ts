import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Random, writeDurably } from '@signalbox/runtime';

/** Letters, digits, `.`, `_` and `-`: safe in logs, labels and URLs. */
const wellFormed = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/**
 * The name this node has on the discovery stream: kept in its state folder, so that it stays the same node over
 * restarts.
 * @param proposed what to call it if the folder has no name yet; characters that are not allowed are replaced.
 */
export async function readOrCreateNodeId(stateFolder: string, proposed: string, random: Random): Promise<string> {
  const path = join(stateFolder, 'node-id');
  const kept = await readFile(path, 'utf8').catch(() => '');
  if (wellFormed.test(kept.trim())) return kept.trim();
  const base = proposed.replaceAll(/[^A-Za-z0-9._-]/g, '-').slice(0, 150);
  const created = `${wellFormed.test(base) ? base : 'node'}-${random.bytes(4).toString('hex')}`;
  await mkdir(stateFolder, { recursive: true, mode: 0o700 });
  await writeDurably(path, [Buffer.from(`${created}\n`)]);
  return created;
}
