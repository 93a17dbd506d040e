import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Metrics } from './metrics.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { MemoryLogger } from './testing/memory-logger.ts';
import { TlsFiles } from './tls-files.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tls-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

const open = (files: Partial<{ cert: string; key: string; ca: readonly string[] }>) =>
  TlsFiles.open({
    purpose: 'test',
    files: { cert: '', key: '', ca: [], ...files },
    pollMs: 1_000,
    clock: new ManualClock(),
    logger: new MemoryLogger(),
    metrics: new Metrics(),
  });

// What happens to good files is seen with real certificates in test/e2e/src/tls-listeners.test.ts.
describe('TLS files that cannot be used at the start', () => {
  it('stop it: a certificate without its key, a file that is missing, one without a certificate', async () => {
    await expect(open({ cert: join(folder, 'a.crt') })).rejects.toThrow('belong together');
    await expect(open({ ca: [join(folder, 'missing.crt')] })).rejects.toThrow('missing.crt');
    await expect(open({ ca: [import.meta.filename] })).rejects.toThrow('no certificate');
  });
});
