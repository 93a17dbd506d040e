import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, runShell } from './cli-process.ts';
import { ownPorts, UpProcess, type UpSummary } from './up-process.ts';

/** The shell blocks of a section of the README, as a reader would paste them. */
async function blocksOf(section: string): Promise<readonly string[]> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const text = readme.split(/^## /m).find((part) => part.startsWith(section)) ?? '';
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
}

describe('the tour of the README', () => {
  let dataDir: string;
  let up: UpProcess;
  let summary: UpSummary;

  beforeAll(async () => {
    dataDir = join(await mkdtemp(join(tmpdir(), 'signalbox-tour-')), '.signalbox');
    up = new UpProcess(dataDir, await ownPorts());
    summary = await up.ready();
  });

  afterAll(async () => {
    up.kill('SIGKILL');
    await up.finished;
    // Its Postgres may still be at its last files.
    await rm(join(dataDir, '..'), { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
  });

  it('works as it is printed', async () => {
    const blocks = await blocksOf('A tour in five minutes');
    expect(blocks.length).toBeGreaterThanOrEqual(7);
    // Only the places differ from a reader's machine: this test has its own folder and ports.
    const gateway = new URL(summary.endpoints['everything'] ?? '').origin;
    const script = blocks
      .join('\n')
      .replaceAll('.signalbox/', `${dataDir}/`)
      .replaceAll('http://127.0.0.1:8080', gateway);
    const done = await runShell(`set -e\n${script}`, { environment: { SIGNALBOX_DATA_DIR: dataDir } });
    expect(done).toMatchObject({ status: 0, err: '' });
    const { out } = done;
    expect(out).toContain('cancel_train is DENIED: no rule matched');
    expect(out).toContain('set_signal is DENIED');
    expect(out.match(/echo: \[\{"type":"text","text":"Echo: mind the gap"\}\]/g)).toHaveLength(3);
    expect(out).toContain('freeze echo');
    const lists = out.split('\n').filter((line) => line.startsWith('tools: '));
    // Three clients that listed once, then the one that watched: before, without echo, and after.
    expect(lists.map((line) => line.includes('echo'))).toEqual([true, true, true, true, false, true]);
    expect(out).toMatch(/"tool":"echo"|"method":"tools\/list"/);
  });
});
