import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { JsonObject } from '@bufbuild/protobuf';
import { until } from '@signalbox/test-harness';

/** A stock Envoy in a process of its own. */
export interface EnvoyProcess {
  readonly output: () => string;
  stop(): Promise<void>;
}

/** Starts it from a bootstrap and waits until it has all its configuration. @throws with its log when it ends. */
export async function startEnvoy(binary: string, bootstrap: JsonObject, adminPort: number): Promise<EnvoyProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-envoy-'));
  const file = join(folder, 'bootstrap.json');
  await writeFile(file, JSON.stringify(bootstrap));
  const args = ['-c', file, '--use-dynamic-base-id', '--concurrency', '1', '-l', 'warning', '--drain-time-s', '1'];
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const hear = (chunk: Buffer) => void (output = (output + chunk.toString('utf8')).slice(-64_000));
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const exited = once(child, 'exit');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const state = await until(
    'Envoy to be ready',
    async () => {
      if (child.exitCode !== null) return 'ended';
      const response = await fetch(`http://127.0.0.1:${adminPort}/ready`).catch(() => undefined);
      return response?.ok === true ? 'ready' : undefined;
    },
    30_000,
  ).catch(() => 'not ready');
  if (state !== 'ready') {
    await stop();
    throw new Error(`Envoy is ${state}:\n${output}`);
  }
  return { output: () => output, stop };
}
